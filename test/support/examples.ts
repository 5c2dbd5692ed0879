/** The JavaScript examples of a page of documentation. */

export interface Example {
  /** The heading above the example. */
  readonly heading: string;
  readonly code: string;
}

export function examplesOf(page: string): Example[] {
  return page.split(/^#{1,3} /m).flatMap((section) => {
    const [heading = ''] = section.split('\n', 1);
    return [...section.matchAll(/^```js\n([^]*?)^```$/gm)].map(([, code = '']) => ({ heading, code }));
  });
}
