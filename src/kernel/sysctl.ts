// Sysctls that change what the model does, with the kernel's defaults and paths (below /proc/sys, slashes).

/** net.ipv4.conf.<dev>. */
export class IpConf {
  forwarding = 0;
  rp_filter = 0;
  proxy_arp = 0;
  proxy_arp_pvlan = 0;
  arp_ignore = 0;
  arp_announce = 0;
  arp_accept = 0;
  arp_filter = 0;
  arp_notify = 0;
  drop_gratuitous_arp = 0;
  send_redirects = 1;
  accept_redirects = 1;
  secure_redirects = 1;
  shared_media = 1;
  accept_local = 0;
  accept_source_route = 1;
  route_localnet = 0;
  log_martians = 0;
  src_valid_mark = 0;
  promote_secondaries = 0;
  ignore_routes_with_linkdown = 0;
  disable_ipv6 = 0;
  forwarding6 = 0;

  copyFrom(c: IpConf): void {
    Object.assign(this, c);
  }
}

/** Everything that is not per device. Times in the unit of the sysctl. */
export class Sysctl {
  ip_default_ttl = 64;
  ip_no_pmtu_disc = 0;
  ip_forward_use_pmtu = 0;
  ip_forward_update_priority = 1;
  ip_nonlocal_bind = 0;
  ip_local_port_min = 32768;
  ip_local_port_max = 60999;
  icmp_echo_ignore_all = 0;
  icmp_echo_ignore_broadcasts = 1;
  icmp_ratelimit = 1000;
  icmp_ratemask = 6168;
  icmp_msgs_per_sec = 1000;
  icmp_msgs_burst = 50;
  icmp_errors_use_inbound_ifaddr = 0;
  icmp_ignore_bogus_error_responses = 1;
  ipfrag_time = 30;
  ipfrag_max_dist = 64;
  min_pmtu = 552;
  mtu_expires = 600;
  min_adv_mss = 256;
  redirect_number = 9;
  /** ms (HZ / 50). */
  redirect_load = 20;
  /** ms ((HZ / 50) << 10). */
  redirect_silence = 20480;
  /** ms. */
  error_cost = 1000;
  error_burst = 5000;
  fib_multipath_hash_policy = 0;
  fib_multipath_use_neigh = 0;
  tcp_timestamps = 1;
  tcp_sack = 1;
  /** Duplicate acknowledgements that may be put off, how long (ns), and how late that may be (ns). */
  tcp_comp_sack_nr = 44;
  tcp_comp_sack_delay_ns = 1_000_000;
  tcp_comp_sack_slack_ns = 100_000;
  tcp_window_scaling = 1;
  tcp_ecn = 2;
  tcp_syn_retries = 6;
  tcp_syn_linear_timeouts = 4;
  tcp_synack_retries = 5;
  tcp_retries1 = 3;
  tcp_retries2 = 15;
  tcp_fin_timeout = 60;
  tcp_rmem_default = 131072;
  tcp_rmem_max = 6291456;
  tcp_mtu_probing = 0;
  tcp_l3mdev_accept = 0;
  udp_l3mdev_accept = 0;
  /** net.bridge.*; on only where br_netfilter is loaded. */
  bridge_nf_call_iptables = 0;
  bridge_nf_call_arptables = 0;
  ip6_default_hoplimit = 64;
  /** net.ipv4.ping_group_range etc. have no effect here. */
  icmp_echo_enable_probe = 0;
}
