/** One row of the settings table; see schema.ts. */
export interface Row<T> {
  readonly env: string;
  readonly kind: 'boolean' | 'integer' | 'number' | 'string' | 'url' | 'choice' | 'list';
  readonly fallback: T;
  readonly doc: string;
  /** What the docs page says instead of the fallback, where the default is found out at start. */
  readonly shownDefault?: string;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** Never printed. */
  readonly secret?: true;
}

type More<T> = Omit<Row<T>, 'env' | 'kind' | 'fallback'>;

export const row = <T>(env: string, kind: Row<T>['kind'], fallback: T, more: More<T> | string): Row<T> => ({
  env,
  kind,
  fallback,
  ...(typeof more === 'string' ? { doc: more } : more),
});

export const choice = <C extends string>(
  env: string,
  choices: readonly C[],
  fallback: C,
  doc: string,
): Row<C> => row<C>(env, 'choice', fallback, { doc, choices });
