/**
 * The packets that an engine.io socket keeps while its transport is busy: it gives the next ones to the WebSocket only when the
 * kernel has taken those before. With a peer that does not read, all that the application sends waits here.
 */
import { isArrayBuffer, isTypedArray } from 'node:util/types';
import { baseNumberReader } from '../base-property.ts';
import { isArray } from '../discovery/collection.ts';
import { readField } from '../discovery/field-reader.ts';

/** Packets that are read; the others have their mean size. */
const READ_PACKETS = 8;

/** Bytes of the packets that wait, estimated from some of them where there are many. */
export function waitingBytes(engineSocket: unknown): number {
  const packets = readField(engineSocket, 'writeBuffer');
  if (!isArray(packets) || packets.length === 0) return 0;
  const count = Math.min(READ_PACKETS, packets.length);
  let bytes = 0;
  for (let n = 0; n < count; n += 1) {
    const packet = readField(packets, Math.floor((n * packets.length) / count));
    bytes += sizeOfData(readField(packet, 'data'));
  }
  return Math.round((bytes * packets.length) / count);
}

const readByteLength = baseNumberReader('byteLength');

/** `instanceof` would run a trap of a Proxy. A DataView has no size here, because its getter throws without a buffer. */
function sizeOfData(data: unknown): number {
  if (typeof data === 'string') return data.length;
  return isTypedArray(data) || isArrayBuffer(data) ? readByteLength(data) : 0;
}
