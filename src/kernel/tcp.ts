import { Sock } from "./sock.js";

export class TcpSock extends Sock {
  synRetries = 6;
  connected = false;
  bind(addr: number, port: number): number {
    this.saddr = addr;
    this.sport = port;
    return 0;
  }
  listen(_backlog: number): number {
    return 0;
  }
  connect(_daddr: number, _dport: number): number {
    return 0;
  }
  acceptable(): boolean {
    return false;
  }
  accept(): TcpSock | null {
    return null;
  }
  send(_d: Uint8Array): number {
    return -1;
  }
  recv(_n: number): Uint8Array {
    return new Uint8Array(0);
  }
  readable(): boolean {
    return false;
  }
  writable(): boolean {
    return false;
  }
  shutdown(): void {}
  abort(): void {}
  close(): void {}
}
