// flannel with the host-gw backend: the bridge plugin puts pods on cni0 with an address of the node's pod CIDR, flanneld
// adds a route to every other node's pod CIDR by that node's address, and masquerades what leaves the pod network.
//
//   pod eth0 -- veth -- cni0 (first address of the pod CIDR) --> route: pod CIDR via node dev eth0

import { PodpathError } from "../../base/errors.js";
import { hexOf, sha1 } from "../../base/sha.js";
import { BridgeDevice } from "../../kernel/bridge.js";
import { installKubeProxy, type KubeProxy } from "../kube_proxy/kube_proxy.js";
import {
  coveringPrefix,
  inPrefix,
  LinuxNode,
  LinuxPlane,
  prefixOf,
  saidClusterCidr,
} from "../linux_plane.js";
import { type Machine, type Machines, nthAddress } from "../machines.js";
import type { ClusterModel, NodeModel, PodModel } from "../model.js";
import { addAddress, addRoute, linkUp, setSysctl, tryRoute } from "../netcfg.js";

export class FlannelNode extends LinuxNode {
  cni0!: BridgeDevice;
  kubeProxy: KubeProxy | undefined;

  constructor(
    name: string,
    model: NodeModel,
    machine: Machine,
    readonly podCidr: string,
  ) {
    super(name, model, machine);
  }
}

export class FlannelPlane extends LinuxPlane<FlannelNode> {
  /** The `Network` of flannel's configuration. */
  readonly network: string;

  constructor(model: ClusterModel, machines: Machines) {
    super(model, machines);
    for (const n of model.nodes)
      this.nodes.push(new FlannelNode(n.name, n, machines.nodes.get(n.name)!, podCidrOf(model, n)));
    this.network =
      saidClusterCidr(model) ?? coveringPrefix(this.nodes.map((n) => n.podCidr)) ?? "10.244.0.0/16";
    for (const n of this.nodes) this.#bridge(n);
    for (const n of this.nodes) this.#routes(n);
    for (const p of model.pods) if (!p.hostNetwork && p.ip4 !== undefined) this.#addPod(p);
    for (const n of this.nodes) {
      n.rules(flannelRules(n.podCidr, this.network), "flanneld");
      n.kubeProxy = installKubeProxy(model, n, this.network);
    }
    this.hostPorts("cbr0", (p) => this.nodeOf(p.nodeName).podCidr);
    this.ownRules();
  }

  #bridge(n: FlannelNode): void {
    const nic = n.machine.nics[0]!;
    n.cni0 = new BridgeDevice(n.ns, "cni0", this.machines.newMac(), nic.mtu);
    addAddress(n.cni0, `${nthAddress(n.podCidr, 1)}/${n.podCidr.split("/")[1]}`);
    linkUp(n.cni0);
    // What kubeadm asks of a node: bridged packets pass iptables too.
    setSysctl(n.ns, "net/bridge/bridge-nf-call-iptables", 1);
  }

  #routes(n: FlannelNode): void {
    for (const other of this.nodes) {
      const via = other.model.internalIp4;
      if (other === n || via === undefined) continue;
      const nic = n.machine.nics.find((d) =>
        n.model.nics
          .find((x) => x.name === d.name)
          ?.addresses.some((a) => a.includes("/") && inPrefix(a, via)),
      );
      // A node of another subnet has none: flanneld writes a line in its log and goes on.
      tryRoute(n.ns, { to: other.podCidr, via, dev: nic ?? n.machine.nics[0]! });
    }
  }

  #addPod(p: PodModel): void {
    const n = this.nodeOf(p.nodeName);
    if (!inPrefix(n.podCidr, p.ip4!))
      throw new PodpathError(
        "SCENARIO_INVALID",
        `pod ${p.namespace}/${p.name} has ${p.ip4}, which is not in pod CIDR ${n.podCidr} of its node ${n.name}`,
        p.pos,
      );
    const own = p.hostInterface;
    const name =
      own?.startsWith("veth") === true ? own : `veth${hexOf(sha1(`${p.namespace}.${p.name}`)).slice(0, 8)}`;
    const s = this.machines.sandbox(p, n.machine, name, p.mtu ?? n.cni0.mtu);
    // hairpinMode of the delegate: a pod may reach itself through its service.
    n.cni0.addPort(s.host).hairpin = true;
    const gateway = nthAddress(n.podCidr, 1);
    addAddress(s.eth0, `${p.ip4}/${n.podCidr.split("/")[1]}`);
    addRoute(s.ns, { to: "default", via: gateway, dev: s.eth0 });
    if (this.network !== n.podCidr) addRoute(s.ns, { to: this.network, via: gateway, dev: s.eth0 });
    this.addSandbox(s);
  }
}

/** The node's pod CIDR: of its Node object, else the /24 that its pods are in. */
function podCidrOf(model: ClusterModel, n: NodeModel): string {
  const said = n.podCidrs.find((c) => !c.includes(":"));
  if (said !== undefined) return said;
  const pod = model.pods.find((p) => p.nodeName === n.name && !p.hostNetwork && p.ip4 !== undefined);
  if (pod === undefined)
    throw new PodpathError(
      "SCENARIO_INVALID",
      `node ${n.name} has no spec.podCIDR, which flannel needs`,
      n.pos,
    );
  return prefixOf(pod.ip4!, 24);
}

/** flanneld's rules (pkg/ip/iptables.go): masquerade what leaves, and what comes in for a pod from outside. */
export function flannelRules(podCidr: string, network: string): string {
  const c = '-m comment --comment "flanneld masq"';
  const f = '-m comment --comment "flanneld forward"';
  return [
    "*nat",
    ":FLANNEL-POSTRTG - [0:0]",
    `-A POSTROUTING ${c} -j FLANNEL-POSTRTG`,
    `-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 ${c} -j RETURN`,
    `-A FLANNEL-POSTRTG -s ${podCidr} -d ${network} ${c} -j RETURN`,
    `-A FLANNEL-POSTRTG -s ${network} -d ${podCidr} ${c} -j RETURN`,
    `-A FLANNEL-POSTRTG ! -s ${network} -d ${podCidr} ${c} -j RETURN`,
    `-A FLANNEL-POSTRTG -s ${network} ! -d 224.0.0.0/4 ${c} -j MASQUERADE --random-fully`,
    `-A FLANNEL-POSTRTG ! -s ${network} -d ${network} ${c} -j MASQUERADE --random-fully`,
    "COMMIT",
    "*filter",
    ":FLANNEL-FWD - [0:0]",
    `-A FORWARD ${f} -j FLANNEL-FWD`,
    `-A FLANNEL-FWD -s ${network} ${f} -j ACCEPT`,
    `-A FLANNEL-FWD -d ${network} ${f} -j ACCEPT`,
    "COMMIT",
    "",
  ].join("\n");
}
