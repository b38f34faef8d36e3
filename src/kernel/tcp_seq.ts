// Sequence numbers: 32-bit integers, compared modulo 2^32 (before and after of net/tcp.h).

/** a < b in sequence space. */
export const before = (a: number, b: number): boolean => ((a - b) | 0) < 0;
/** a > b in sequence space. */
export const after = (a: number, b: number): boolean => ((b - a) | 0) < 0;
