/**
 * The entry `@wsguard/agent/remedy`, kept so that its name is settled. Remedies (heartbeat, safe send, bounded queue,
 * drain) are not built yet; until then this module exports nothing.
 */
export {};
