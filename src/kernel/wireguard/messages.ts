// drivers/net/wireguard/messages.h: the four messages of the protocol and the times that it lives by. All numbers on the
// wire are little-endian.
//
//   initiation 148:  1 | sender | ephemeral 32 | static 32+16 | timestamp 12+16 | mac1 16 | mac2 16
//   response    92:  2 | sender | receiver | ephemeral 32 | nothing 0+16 | mac1 16 | mac2 16
//   cookie      64:  3 | receiver | nonce 24 | cookie 16+16
//   data      32 +:  4 | receiver | counter 8 | packet, padded to a multiple of 16 | tag 16

export const MESSAGE_HANDSHAKE_INITIATION = 1;
export const MESSAGE_HANDSHAKE_RESPONSE = 2;
export const MESSAGE_HANDSHAKE_COOKIE = 3;
export const MESSAGE_DATA = 4;

/** Bytes of a handshake initiation, a response and a cookie reply. */
export const INITIATION_LEN = 148;
export const RESPONSE_LEN = 92;
export const COOKIE_LEN = 64;
/** Bytes in front of an encrypted packet: type, receiver, counter. */
export const DATA_HEADER_LEN = 16;
/** A data message without a packet in it, the keepalive. */
export const DATA_MIN_LEN = 32;
/** Padding makes the packet a multiple of this. */
export const MESSAGE_PADDING_MULTIPLE = 16;

/** Offsets in the messages. */
export const OFF_SENDER = 4;
export const OFF_INIT_EPHEMERAL = 8;
export const OFF_INIT_STATIC = 40;
export const OFF_INIT_TIMESTAMP = 88;
export const OFF_INIT_MAC1 = 116;
export const OFF_RESP_RECEIVER = 8;
export const OFF_RESP_EPHEMERAL = 12;
export const OFF_RESP_NOTHING = 44;
export const OFF_RESP_MAC1 = 60;
export const OFF_DATA_RECEIVER = 4;
export const OFF_DATA_COUNTER = 8;
export const MAC_LEN = 16;

/** DSCP AF41: handshakes are sent with it. */
export const HANDSHAKE_DSCP = 0x88;

const SEC = 1e9;
export const REKEY_AFTER_TIME = 120 * SEC;
export const REJECT_AFTER_TIME = 180 * SEC;
export const REKEY_TIMEOUT = 5 * SEC;
/** A retransmitted handshake waits up to this much longer. */
export const REKEY_TIMEOUT_JITTER_MAX = SEC / 3;
export const KEEPALIVE_TIMEOUT = 10 * SEC;
/** 90 seconds of attempts. */
export const MAX_TIMER_HANDSHAKES = 18;
/** Messages after which a key is given up: 2^64 - 2^13 - 1, beyond what a number counts; no lab gets there. */
export const REKEY_AFTER_MESSAGES = 2 ** 60;
export const INITIATIONS_PER_SECOND = 50;
export const MAX_STAGED_PACKETS = 128;
