// Socket load balancing attached: the kernel's cgroup hooks run bpf_sock's programs for every socket of the machine.

import { SockAddr, SYS_PROCEED } from "../../../programs/bpf_sock.js";
import type { SockProgram, SockPrograms } from "../../../programs/datapath.js";
import { EPERM } from "../../base/errno.js";
import { AF_INET, AF_INET6 } from "../../bpf/helpers.js";
import type { CgroupHooks, SockName } from "../../kernel/cgroup.js";
import { IN6ADDR_ANY, type Sock } from "../../kernel/sock.js";
import { bswap16 } from "../../net/view.js";

export class SockHooks implements CgroupHooks {
  readonly #addr = new SockAddr();
  /** Its IPv6 address as bytes. */
  readonly #ip6 = new Uint8Array(this.#addr.user_ip6.buffer);

  constructor(private readonly programs: SockPrograms) {}

  connect4(sk: Sock, protocol: number, name: SockName): number {
    return this.#run(this.programs.connect4, sk, protocol, name);
  }

  sendmsg4(sk: Sock, protocol: number, name: SockName): number {
    return this.#run(this.programs.sendmsg4, sk, protocol, name);
  }

  recvmsg4(sk: Sock, protocol: number, name: SockName): number {
    return this.#run(this.programs.recvmsg4, sk, protocol, name);
  }

  getpeername4(sk: Sock, protocol: number, name: SockName): number {
    return this.#run(this.programs.getpeername4, sk, protocol, name);
  }

  connect6(sk: Sock, protocol: number, name: SockName): number {
    return this.#run6(this.programs.connect6, sk, protocol, name);
  }

  sendmsg6(sk: Sock, protocol: number, name: SockName): number {
    return this.#run6(this.programs.sendmsg6, sk, protocol, name);
  }

  recvmsg6(sk: Sock, protocol: number, name: SockName): number {
    return this.#run6(this.programs.recvmsg6, sk, protocol, name);
  }

  getpeername6(sk: Sock, protocol: number, name: SockName): number {
    return this.#run6(this.programs.getpeername6, sk, protocol, name);
  }

  post_bind4(sk: Sock, protocol: number): number {
    const a = this.#fill(sk, protocol, AF_INET, sk.sport);
    a.user_ip4 = sk.saddr;
    return this.programs.post_bind4.run(a) === SYS_PROCEED ? 0 : -EPERM;
  }

  release(sk: Sock, protocol: number): void {
    const v6 = sk.daddr6 !== IN6ADDR_ANY;
    const a = this.#fill(sk, protocol, v6 ? AF_INET6 : AF_INET, sk.dport);
    a.user_ip4 = sk.daddr;
    if (v6) this.#ip6.set(sk.daddr6);
    this.programs.sock_release.run(a);
  }

  #run(program: SockProgram, sk: Sock, protocol: number, name: SockName): number {
    const a = this.#fill(sk, protocol, AF_INET, name.port);
    a.user_ip4 = name.ip;
    if (program.run(a) !== SYS_PROCEED) return a.retval !== 0 ? a.retval : -EPERM;
    name.ip = a.user_ip4;
    name.port = bswap16(a.user_port);
    return 0;
  }

  #run6(program: SockProgram, sk: Sock, protocol: number, name: SockName): number {
    const a = this.#fill(sk, protocol, AF_INET6, name.port);
    this.#ip6.set(name.ip6);
    if (program.run(a) !== SYS_PROCEED) return a.retval !== 0 ? a.retval : -EPERM;
    name.ip6.set(this.#ip6);
    name.port = bswap16(a.user_port);
    return 0;
  }

  #fill(sk: Sock, protocol: number, family: number, port: number): SockAddr {
    const a = this.#addr;
    a.family = family;
    a.protocol = protocol;
    a.user_port = bswap16(port);
    a.socket_cookie = sk.cookie;
    a.netns_cookie = sk.ns.cookie;
    a.cpu = sk.ns.kernel.cpu;
    a.retval = 0;
    return a;
  }
}
