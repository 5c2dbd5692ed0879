/** The frame of every page: head, style, content policy and the only script. The page loads nothing from elsewhere. */
import { Markup, markup } from './markup.ts';
import { STYLE } from './style.ts';

/** Copy buttons and the filters above tables. The page is complete without it. */
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
  const text = field.value.toLowerCase();
  for (const row of document.querySelectorAll('#' + field.dataset.filter + ' tbody tr')) {
    row.hidden = !row.cells[0].textContent.toLowerCase().includes(text);
  }
});
`;

/** SHA-256 of SCRIPT. The content policy allows this script and no other; a test computes the hash. */
export const SCRIPT_HASH = 'sha256-DcUiV7gsUKwBn35vFiFB+CPm8w2sc5O5ZJpkQz9MAuM=';

/** A complete document. */
export function page(title: string, body: Markup): string {
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src '${SCRIPT_HASH}'; base-uri 'none'; form-action 'none'`;
  return markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policy}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="referrer" content="no-referrer" />
        <title>${title}</title>
        <style>${new Markup(STYLE)}</style>
      </head>
      <body>
        <main>${body}</main>
        <script>${new Markup(SCRIPT)}</script>
      </body>
    </html>
    `.text;
}
