/** Validates the JSON that the agent and the command write against the schemas in docs/schema. */
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const SCHEMA_NAMES = ['alert', 'analysis', 'procedure', 'replay', 'report'] as const;
export type SchemaName = (typeof SCHEMA_NAMES)[number];

const FOLDER = join(__dirname, '..', '..', 'docs', 'schema');

export const readSchema = (name: SchemaName): Record<string, unknown> =>
  JSON.parse(readFileSync(join(FOLDER, `${name}.schema.json`), 'utf8')) as Record<string, unknown>;

// Some fields may be null as well as a number or an object, which strict mode calls a union.
const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true, strictRequired: false });
addFormats(ajv);
for (const name of SCHEMA_NAMES) ajv.addSchema(readSchema(name));

/** The errors of a value, one line each; empty when the value is valid. The value is serialised to JSON first. */
export function schemaErrors(name: SchemaName, value: unknown): string[] {
  const validate = ajv.getSchema(`urn:wsguard:${name}:1`);
  if (validate === undefined) throw new Error(`no schema ${name}`);
  if (validate(JSON.parse(JSON.stringify(value)))) return [];
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) =>
      `${instancePath || '/'} ${message ?? ''} ${JSON.stringify(params)}`,
  );
}

/** Returns the value when it is valid, so that a test can validate where it parses. */
export function expectValid<T>(name: SchemaName, value: T): T {
  const errors = schemaErrors(name, value);
  if (errors.length > 0)
    throw new Error(`not valid by docs/schema/${name}.schema.json:\n${errors.slice(0, 10).join('\n')}`);
  return value;
}
