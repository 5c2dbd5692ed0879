/** Names of fields that the analysis itself follows; their indexes are learnt while the strings pass by. */
const LIST = [
  '<symbol kHandle>',
  'FinalizationRegistry',
  'Socket',
  'TimersList',
  '__proto__',
  '_events',
  '_idleNext',
  '_idlePrev',
  '_onTimeout',
  '_repeat',
  '_server',
  'bound_function',
  'bound_this',
  'callback',
  'constructor',
  'context',
  'fn',
  'func',
  'handler',
  'listener',
  'map',
  'name',
  'previous',
  'prototype',
  'script',
  'script_or_debug_info',
  'shared',
  'table',
] as const;

export type Word = (typeof LIST)[number];
export const WORDS: ReadonlySet<string> = new Set(LIST);
export const LONGEST_WORD = Math.max(...LIST.map((word) => word.length));
