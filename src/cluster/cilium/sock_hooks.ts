// Socket load balancing attached: the kernel's cgroup hooks run bpf_sock's programs for every socket of the machine.

import { SockAddr, SYS_PROCEED } from "../../../programs/bpf_sock.js";
import type { SockProgram, SockPrograms } from "../../../programs/datapath.js";
import { EPERM } from "../../base/errno.js";
import type { CgroupHooks, SockName } from "../../kernel/cgroup.js";
import type { Sock } from "../../kernel/sock.js";
import { bswap16 } from "../../net/view.js";

export class SockHooks implements CgroupHooks {
  readonly #addr = new SockAddr();

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

  post_bind4(sk: Sock, protocol: number): number {
    const a = this.#fill(sk, protocol, sk.saddr, sk.sport);
    return this.programs.post_bind4.run(a) === SYS_PROCEED ? 0 : -EPERM;
  }

  release(sk: Sock, protocol: number): void {
    this.programs.sock_release.run(this.#fill(sk, protocol, sk.daddr, sk.dport));
  }

  #run(program: SockProgram, sk: Sock, protocol: number, name: SockName): number {
    const a = this.#fill(sk, protocol, name.ip, name.port);
    if (program.run(a) !== SYS_PROCEED) return a.retval !== 0 ? a.retval : -EPERM;
    name.ip = a.user_ip4;
    name.port = bswap16(a.user_port);
    return 0;
  }

  #fill(sk: Sock, protocol: number, ip: number, port: number): SockAddr {
    const a = this.#addr;
    a.protocol = protocol;
    a.user_ip4 = ip;
    a.user_port = bswap16(port);
    a.socket_cookie = sk.cookie;
    a.netns_cookie = sk.ns.cookie;
    a.cpu = sk.ns.kernel.cpu;
    a.retval = 0;
    return a;
  }
}
