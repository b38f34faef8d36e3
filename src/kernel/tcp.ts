import { Sock } from "./sock.js";

export class TcpSock extends Sock {}
