// The hooks of cgroup BPF that system calls of sockets pass (kernel/bpf/cgroup.c, BPF_CGROUP_RUN_PROG_INET*): programs
// see and change the address of connect(), sendmsg(), recvmsg() and getpeername(). One set a machine, for the root
// cgroup; the kernel knows no program, only this interface.

import type { Sock } from "./sock.js";

/** The address in a system call's hands. */
export class SockName {
  /** Be32. */
  ip = 0;
  /** Of an IPv6 socket. */
  readonly ip6 = new Uint8Array(16);
  /** Host order. */
  port = 0;

  set(ip: number, port: number): this {
    this.ip = ip;
    this.port = port;
    return this;
  }

  /** Copies the 16 bytes at ip6[off..]. */
  set6(ip6: Uint8Array, port: number, off = 0): this {
    for (let i = 0; i < 16; i++) this.ip6[i] = ip6[off + i]!;
    this.port = port;
    return this;
  }
}

/** Each returns 0, or the negative errno that the system call fails with; `name` is changed in place. */
export interface CgroupHooks {
  connect4(sk: Sock, protocol: number, name: SockName): number;
  sendmsg4(sk: Sock, protocol: number, name: SockName): number;
  recvmsg4(sk: Sock, protocol: number, name: SockName): number;
  getpeername4(sk: Sock, protocol: number, name: SockName): number;
  post_bind4(sk: Sock, protocol: number): number;
  connect6(sk: Sock, protocol: number, name: SockName): number;
  sendmsg6(sk: Sock, protocol: number, name: SockName): number;
  recvmsg6(sk: Sock, protocol: number, name: SockName): number;
  getpeername6(sk: Sock, protocol: number, name: SockName): number;
  release(sk: Sock, protocol: number): void;
}
