/** The major version of the running Node. */
export const NODE_MAJOR = Number.parseInt(process.versions.node, 10);
