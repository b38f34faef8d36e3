// Names for numbers. A raw `number` never crosses a folder boundary: these brands cost nothing at run time
// and keep an ifindex from being passed where an endpoint id is wanted.

declare const brand: unique symbol;

/** A `T` that the compiler keeps apart from other `T`s by the name `B`. */
export type Brand<T, B extends string> = T & { readonly [brand]: B };

/** Index of a network device within one network namespace; 0 means "no device". */
export type Ifindex = Brand<number, "Ifindex">;
/** Endpoint id (`lxc_id` in maps, `FROM n` in the monitor), 16 bits, 0 = none. */
export type EndpointId = Brand<number, "EndpointId">;
/** Security identity, 32 bits, kept as a signed int32. */
export type Identity = Brand<number, "Identity">;
/**
 * An IPv4 address as a little-endian CPU loads its four wire bytes, kept as a signed int32 (so that V8 never
 * boxes it): 10.0.0.85 is 0x5500000a. This is C's `__be32` seen on x86-64, the form that maps, programs and
 * debug arguments use. `src/net/address.ts` converts from and to text and host order.
 */
export type Be32 = Brand<number, "Be32">;
/** A 16-bit port in network order as a little-endian CPU loads it: port 80 is 0x5000. */
export type Be16 = Brand<number, "Be16">;
/** Nanoseconds of the virtual monotonic clock; an integer below 2^53. */
export type Ns = Brand<number, "Ns">;
/** Number of a modelled CPU of a node. */
export type CpuId = Brand<number, "CpuId">;
