/** The page's only script: copy buttons and the filter of the class table. Without it the page says as much. */
export const SCRIPT = `
document.addEventListener('click', async (event) => {
  const button = event.target.closest('button[data-copy]');
  if (!button) return;
  for (const other of document.querySelectorAll('button[data-copy]')) other.textContent = 'Copy';
  const code = button.parentElement.querySelector('code');
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = 'Copied';
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = 'Selected';
  }
});
document.addEventListener('input', (event) => {
  const field = event.target;
  if (!field.dataset.filter) return;
  const wanted = field.value.toLowerCase();
  for (const row of document.querySelectorAll('#' + field.dataset.filter + ' tbody tr')) {
    row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
  }
});
`;

/** SHA-256 of SCRIPT, so that the page's policy allows this script and no other; a test computes it. */
export const SCRIPT_HASH = 'sha256-AaoDObX1lIwCUWwzORykd8PjOV938z0/ml+f7XX/VkU=';
