// How a recording begins, apart from the rest of the format so that telling files apart does not load protobufjs.

/** First field of the header of a recording. */
export const RECORDING_MAGIC = "podpath-monitor";

/** True if the bytes begin like a recording. */
export function isRecording(bytes: Uint8Array): boolean {
  // length | header: field 1, length | magic: field 1, length | text
  let at = 0;
  while (at < bytes.length && bytes[at]! >= 0x80) at++;
  at++;
  if (bytes[at] !== 0x0a) return false;
  at++;
  while (at < bytes.length && bytes[at]! >= 0x80) at++;
  at++;
  if (bytes[at] !== 0x0a || bytes[at + 1] !== RECORDING_MAGIC.length) return false;
  at += 2;
  for (let i = 0; i < RECORDING_MAGIC.length; i++)
    if (bytes[at + i] !== RECORDING_MAGIC.charCodeAt(i)) return false;
  return true;
}
