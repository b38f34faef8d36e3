// Service names that the packet library prints behind a port, `8080(http-alt)`: the IANA snapshots compiled into
// gopacket as the 1.19 and 1.11 clients were built with it.
//
// Written down once: TCP in full, UDP and the older snapshot as differences. A token is `PORT=name`, or a bare
// name for the port that follows the previous token's, `~` standing for a space; nothing is parsed before the first port is printed.

/** One table: `set` holds tokens as above, `unset` ports or ranges of the table it differs from. */
export interface PortNameSource {
  readonly set: string;
  readonly unset: string;
}

/** TCP, 1.19. */
export const TCP_PORT_NAMES: PortNameSource = {
  set: `
1=tcpmux compressnet compressnet 5=rje 7=echo 9=discard 11=systat 13=daytime 17=qotd msp chargen
ftp-data ftp ssh telnet 25=smtp 27=nsw-fe 29=msg-icp 31=msg-auth 33=dsp 37=time rap rlp 41=graphics name
nicname mpm-flags mpm mpm-snd 48=auditd tacacs re-mail-ck 52=xns-time domain xns-ch isi-gl xns-auth
58=xns-mail 62=acas whoispp covia tacacs-ds sql-net bootps bootpc tftp gopher netrjs-1 netrjs-2 netrjs-3
netrjs-4 76=deos 78=vettcp finger http 82=xfer mit-ml-dev ctf mit-ml-dev mfcobol 88=kerberos su-mit-tg
dnsix mit-dov npp dcp objcall supdup dixie swift-rvf tacnews metagram 101=hostname iso-tsap gppitnp
acr-nema cso 3com-tsmux rtelnet snagas pop2 pop3 sunrpc mcidas ident 115=sftp ansanotify uucp-path
sqlserv nntp cfdptkt erpc smakynet ntp ansatrader locus-map nxedit locus-con gss-xlicen pwdgen cisco-fna
cisco-tna cisco-sys statsrv ingres-net epmap profile netbios-ns netbios-dgm netbios-ssn emfis-data
emfis-cntl bl-idm imap uma uaac iso-tp0 iso-ip jargon aed-512 sql-net hems bftp sgmp netsc-prod
netsc-dev sqlsrv knet-cmp pcmail-srv nss-routing sgmp-traps snmp snmptrap cmip-man cmip-agent
xns-courier s-net namp rsvd send print-srv multiplex cl-1 xyplex-mux mailq vmnet genrad-mux xdmcp
nextstep bgp ris unify audit ocbinder ocserver remote-kis kis aci mumps qft gacp prospero osu-nms srmp
irc dn6-nlm-aud dn6-smm-red dls dls-mon smux src at-rtmp at-nbp at-3 at-echo at-5 at-zis at-7 at-8 qmtp
z39-50 914c-g anet ipx vmpwscs softpc CAIlic dbase mpp uarps imap3 fln-spx rsh-spx cdc masqdialer
242=direct sur-meas inbusiness link dsp3270 subntbcst-tftp bhfhs 256=rap set 259=esro-gen openport
nsiiops arcisdms hdap bgmp x-bone-ctl sst td-service td-replica manet 271=pt-tls 280=http-mgmt
personal-link cableport-ax rescap corerjd 286=fxp k-block 308=novastorbakcup entrusttime bhmds
asip-webadmin vslmp magenta-logic opalis-robot dpsi decauth zannet pkix-timestamp ptp-event ptp-general
pip rtsps rpki-rtr rpki-rtr-tls 333=texar 344=pdap pawserv zserv fatserv csi-sgwp mftp matip-type-a
matip-type-b dtag-ste-sb ndsauth bh611 datex-asn cloanto-net-1 bhevent shrinkwrap nsrmp scoi2odialog
semantix srssend rsvp-tunnel aurora-cmgr dtk odmr mortgageware qbikgdp rpc2portmap codaauth2 clearcase
ulistproc legent-1 legent-2 hassle nip tnETOS dsETOS is99c is99s hp-collector hp-managed-node
hp-alarm-mgr arns ibm-app asa aurp unidata-ldm ldap uis synotics-relay synotics-broker meta5 embl-ndt
netcp netware-ip mptn kryptolan iso-tsap-c2 osb-sd ups genie decap nced ncld imsp timbuktu prm-sm prm-nm
decladebug rmt synoptics-trap smsp infoseek bnet silverplatter onmux hyper-g ariel1 smpte ariel2 ariel3
opc-job-start opc-job-track icad-el smartsdp svrloc ocs-cmu ocs-amu utmpsd utmpcd iasd nnsp
mobileip-agent mobilip-mn dna-cml comscm dsfgw dasp sgcp decvms-sysmgt cvc-hostd https snpp microsoft-ds
ddm-rdb ddm-dfm ddm-ssl as-servermap tserver sfs-smp-net sfs-config creativeserver contentserver
creativepartnr macon-tcp scohelp appleqtc ampr-rcmd skronk datasurfsrv datasurfsrvsec alpes kpasswd urd
digital-vrc mylex-mapd photuris rcp scx-proxy mondex ljk-login hybrid-pop tn-tl-w1 tcpnethaspsrv
tn-tl-fd1 ss7ns spsc iafserver iafdbase ph bgs-nsi ulpnet integra-sme powerburst avian saft gss-http
nest-protocol micom-pfs go-login ticf-1 ticf-2 pov-ray intecourier pim-rp-disc retrospect siam iso-ill
isakmp stmf mbap intrinsa citadel mailbox-lm ohimsrv crs xvttp snare fcp passgo exec login shell printer
videotex talk ntalk utime efs ripng ulp ibm-db2 ncp timed tempo stx custix irc-serv courier conference
netnews netwall windream iiop opalis-rdv nmsp gdomap apertus-ldp uucp uucp-rlogin commerce klogin kshell
appleqtcsrvr dhcpv6-client dhcpv6-server afpovertcp idfp new-rwho cybercash devshr-nts pirp rtsp dsf
remotefs openvms-sysipc sdnskmp teedtap rmonitor monitor chshell nntps 9pfs whoami streettalk banyan-rpc
ms-shuttle ms-rome meter meter sonar banyan-vip ftp-agent vemmi ipcd vnas ipdd decbsrv sntp-heartbeat
bdp scc-security philips-vc keyserver 586=password-chg submission cal eyelink tns-cml http-alt
eudora-set http-rpc-epmap tpip cab-protocol smsd ptcnameservice sco-websrvrmg3 acp ipcserver syslog-conn
xmlrpc-beep idxp tunnel soap-beep urm nqs sift-uft npmp-trap npmp-local npmp-gui hmmp-ind hmmp-op sshell
sco-inetmgr sco-sysmgr sco-dtmgr dei-icda compaq-evm sco-websrvrmgr escp-ip collaborator oob-ws-http
cryptoadmin dec-dlm asia passgo-tivoli qmqp 3com-amp3 rda ipp bmpp servstat ginad rlzdbase ldaps
lanserver mcns-sec msdp entrust-sps repcmd esro-emsdp sanity dwr pssc ldp dhcp-failover rrp cadview-3d
obex ieee-mms hello-port repscmd aodv tinc spmp rmc tenfold 660=mac-srvr-admin hap pftp purenoise
oob-ws-https sun-dr mdqs disclose mecomm meregister vacdsm-sws vacdsm-app vpps-qua cimplex acap dctp
vpps-via vpp ggf-ncp mrm entrust-aaas entrust-aams xfr corba-iiop corba-iiop-ssl mdc-portmapper
hcp-wismar asipregistry realm-rusd nmap vatp msexch-routing hyperwave-isp connendp ha-cluster
ieee-mms-ssl rushd uuidgen olsr accessnetwork epp lmp iris-beep 704=elcsd agentx silc borland-dsj
709=entrust-kmsh entrust-ash cisco-tdp tbrpf iris-xpc iris-xpcs iris-lwz 729=netviewdm1 netviewdm2
netviewdm3 741=netgw netrcs 744=flexlm 747=fujitsu-dev ris-cm kerberos-adm rfile pump qrh rrh tell
758=nlogin con ns rxe quotad cycleserv omserv webster 767=phonebook 769=vid cadlock rtip cycleserv2
submit rpasswd entomb wpages multiling-http 780=wpgs 800=mdbs-daemon device mbap-s 810=fcp-udp
828=itm-mcell-s pkix-3-ca-ra netconf-ssh netconf-beep netconfsoaphttp netconfsoapbeep 847=dhcp-failover2
gdoi 853=domain-s dlep 860=iscsi owamp-control twamp-control 873=rsync 886=iclcnet-locate iclcnet-svinfo
accessbuilder 900=omginitialrefs smpnameres ideafarm-door ideafarm-panic 910=kink xact-backup apex-mesh
apex-edge 953=rndc 989=ftps-data ftps nas telnets imaps 995=pop3s vsinet maitrd busboy garcon cadlock2
webpush 1010=surf 1021=exp1 exp2 1025=blackjack cap 1029=solid-mux 1033=netinfo-local activesync
mxxrlogin nsstp ams mtqp sbl netarx danf-ak2 afrog boinc-client dcutility fpitp wfremotertm neod1 neod2
td-postman cma optima-vnet ddt remote-as brvread ansyslmd vfo startron nim nimreg polestar kiosk
veracity kyoceranetdev jstel syscomlan fpo-fns instl-boots instl-bootc cognex-insight gmrupdateserv
bsquare-voip cardax bridgecontrol warmspotMgmt rdrmshc dab-sti-c imgames avocent-proxy asprovatalk socks
pvuniwien amt-esd-prot ansoft-lm-1 ansoft-lm-2 webobjects cplscrambler-lg cplscrambler-in
cplscrambler-al ff-annunc ff-fms ff-sm obrpd proofd rootd nicelink cnrprotocol sunclustermgr
rmiactivation rmiregistry mctp pt2-discover adobeserver-1 adobeserver-2 xrl ftranhc isoipsigport-1
isoipsigport-2 ratio-adp 1110=webadmstart lmsocialserver icp ltp-deepspace mini-sql ardus-trns
ardus-cntl ardus-mtrns sacred bnetgame bnetfile rmpp availant-mgr murray hpvmmcontrol hpvmmagent
hpvmmdata kwdb-commn saphostctrl saphostctrls casp caspssl kvm-via-ip dfn aplx omnivision hhb-gateway
trim encrypted-admin evm autonoc mxomss edtools imyx fuscript x9-icue audit-transfer capioverlan
elfiq-repl bvtsonar blaze unizensus winpoplanmess c1222-acse resacommunity nfa iascontrol-oms iascontrol
dbcontrol-oms oracle-oms olsv health-polling health-trap sddp qsm-proxy qsm-gui qsm-remote cisco-ipsla
vchat tripwire atc-lm atc-appserver dnap d-cinema-rrp fnet-remote-ui dossier indigo-server dkmessenger
sgi-storman b2n mc-client 3comnetman accelenet llsurfup-http llsurfup-https catchpole mysql-cluster
alias hp-webadmin unet commlinx-avl gpfs caids-sensor fiveacross openvpn rsf-1 netmagic carrius-rshell
cajo-discovery dmidi scol nucleus-sand caiccipc ssslic-mgr ssslog-mgr accord-mgc anthony-data metasage
seagull-ais ipcd3 eoss groove-dpp lupa mpc-lifenet kazaa scanstat-1 etebac5 hpss-ndapi aeroflight-ads
aeroflight-ret qt-serveradmin sweetware-apps nerv tgp vpnz slinkysearch stgxfws dns2go florence zented
periscope menandmice-lpm first-defense univ-appserver search-agent mosaicsyssvc1 bvcontrol tsdos390
hacl-qs nmsd instantia nessus nmasoverip serialgateway isbconference1 isbconference2 payrouter
visionpyramid hermes mesavistaco swldy-sias servergraph bspne-pcc q55-pcc de-noc de-cache-query
de-server shockwave2 opennl opennl-voice ibm-ssd mpshrsv qnts-orb dka prat dssiapi dellpwrappks epc
propel-msgsys watilapp opsmgr excw cspmlockmgr emc-gateway t1distproc ivcollector 1277=miva-mqs
dellwebadmin-1 dellwebadmin-2 pictrography healthd emperion productinfo iee-qfx neoiface netuitive
routematch navbuddy jwalkserver winjaserver seagulllms dsdn pkt-krb-ipsec cmmdriver ehtp dproxy sdproxy
lpcp hp-sci h323hostcallsc 1303=sftsrv boomerang pe-mike re-conn-proto pacmand odsi jtag-server husky
rxmon sti-envision bmc-patroldb pdps els exbit-escp vrts-ipcserver krb5gatekeeper amx-icsp amx-axbnet
pip novation brcd delta-mcp dx-instrument wimsic ultrex ewall netdb-export streetperfect intersan
pcia-rxp-b passwrd-policy writesrv digital-notary ischat menandmice-dns wmc-log-svc kjtsiteserver naap
qubes esbroker re101 icap vpjp alta-ana-lm bbn-mmc bbn-mmx sbook editbench equationbuilder lotusnote
relief XSIP-network intuitive-edge cuillamartin pegboard connlcli ftsrv mimer linx timeflies
ndm-requester ndm-server adapt-sna netware-csp dcs screencast gv-us us-gv fc-cli fc-ser chromagrafx
molly bytex ibm-pps cichlid elan dbreporter telesis-licman apple-licman udt-os gwha os-licman atex-elmd
checksum cadsi-lm objective-dbc iclpv-dm iclpv-sc iclpv-sas iclpv-pm iclpv-nls iclpv-nlc iclpv-wsm
dvl-activemail audio-activmail video-activmail cadkey-licman cadkey-tablet goldleaf-licman prm-sm-np
prm-nm-np igi-lm ibm-res netlabs-lm tibet-server sophia-lm here-lm hiq af innosys innosys-acl
ibm-mqseries dbstar novell-lu6-2 timbuktu-srv1 timbuktu-srv2 timbuktu-srv3 timbuktu-srv4 gandalf-lm
autodesk-lm essbase hybrid zion-lm sais mloadd informatik-lm nms tpdu rgtp blueberry-lm ms-sql-s
ms-sql-m ibm-cics saism tabula eicon-server eicon-x25 eicon-slp cadis-1 cadis-2 ies-lm marcam-lm
proxima-lm ora-lm apri-lm oc-lm peport dwf infoman gtegsc-lm genie-lm interhdl-elmd esl-lm dca
valisys-lm nrcabq-lm proshare1 proshare2 ibm-wrless-lan world-lm nucleus msl-lmd pipes oceansoft-lm
csdmbase csdm aal-lm uaiact csdmbase csdm openmath telefinder taligent-lm clvm-cfg ms-sna-server
ms-sna-base dberegister pacerforum airs miteksys-lm afs confluent lansource nms-topo-serv localinfosrvr
docstor dmdocbroker insitu-conf 1492=stone-design-1 netmap-lm ica cvc liberty-lm rfx-lm sybase-sqlany
fhc vlsi-lm saiscm shivadiscovery imtc-mcs evb-elm funkproxy utcd symplex diagmond robcad-lm mvx-lm
3l-l1 wins fujitsu-dtc fujitsu-dtcns ifor-protocol vpad vpac vpvd vpvc atm-zip-office ncube-lm
ricardo-lm cichild-lm ingreslock orasrv pdap-np tlisrv norp coauthor rap-service rap-listen miroconnect
virtual-places micromuse-lm ampr-info ampr-inter sdsc-lm 3ds-lm intellistor-lm rds rds2 gridgen-elmd
simba-cs aspeclmd vistium-share abbaccuray laplink axon-lm shivahose 3m-image-lm hecmtl-db pciarray
sna-cs caci-lm livelan veritas-pbx arbortext-lm xingmpeg web2host asci-val facilityview pconnectmgr
cadabra-lm pay-per-view winddlb corelvideo jlicelmd tsspmap ets orbixd rdb-dbs-disp chip-lm itscomm-ns
mvel-lm oraclenames moldflow-lm hypercube-lm jacobus-lm ioc-sea-lm tn-tl-r1 mil-2045-47001 msims
simbaexpress tn-tl-fd2 intv ibm-abtact pra-elmd triquest-lm vqp gemini-lm ncpm-pm commonspace
mainsoft-lm sixtrak radio radio-sm orbplus-iiop picknfs simbaservices issd aas inspect picodbc
icabrowser slp slm-api stt smart-lm isysg-lm taurus-wh ill netbill-trans netbill-keyrep netbill-cred
netbill-auth netbill-prod nimrod-agent skytelnet xs-openstorage faxportwinport softdataphone ontime
jaleosnd udp-sr-port svs-omagent shockwave t128-gateway lontalk-norm lontalk-urgnt oraclenet8cman
visitview pammratc pammrpc loaprobe edb-server1 isdc islc ismc cert-initiator cert-responder invision
isis-am isis-ambc saiseh sightline sa-msg-port rsap concurrent-lm kermit nkd shiva-confsrvr xnmp
alphatech-lm stargatealerts dec-mbadmin dec-mbadmin-h fujitsu-mmpdc sixnetudr sg-lm skip-mc-gikreq
netview-aix-1 netview-aix-2 netview-aix-3 netview-aix-4 netview-aix-5 netview-aix-6 netview-aix-7
netview-aix-8 netview-aix-9 netview-aix-10 netview-aix-11 netview-aix-12 proshare-mc-1 proshare-mc-2 pdp
netcomm1 groupwise prolink darcorp-lm microcom-sbp sd-elmd lanyon-lantern ncpm-hip snaresecure n2nremote
cvmon nsjtp-ctrl nsjtp-data firefox ng-umds empire-empuma sstsys-lm rrirtr rrimwm rrilwm rrifmm rrisat
rsvp-encap-1 rsvp-encap-2 mps-raft l2f deskshare hb-engine bcs-broker slingshot jetform vdmplay gat-lmd
centra impera pptconference registrar conferencetalk sesi-lm houdini-lm xmsg fj-hdnet h323gatedisc
h323gatestat h323hostcall caicci hks-lm pptp csbphonemaster iden-ralp iberiagames winddx telindus citynl
roketz msiccp proxim siipat cambertx-lm privatechat street-stream ultimad gamegen1 webaccess encore
cisco-net-mgmt 3Com-nsd cinegrfx-lm ncpm-ft remote-winsock ftrapid-1 ftrapid-2 oracle-em1 aspen-services
sslp swiftnet lofr-lm predatar-comms oracle-em2 ms-streaming capfast-lmd cnhrp tftp-mcast spss-lm
www-ldap-gw cft-0 cft-1 cft-2 cft-3 cft-4 cft-5 cft-6 cft-7 bmc-net-adm bmc-net-svc vaultbase essweb-gw
kmscontrol global-dtserv vdab femis powerguardian prodigy-intrnet pharmasoft dpkeyserv answersoft-lm
hp-hcip 1784=finle-lm windlm funk-logger funk-license psmond hello nmsp ea1 ibm-dt-2 rsc-robot cera-bcm
dpi-proxy vocaltec-admin uma etp netrisk ansys-lm msmq concomp1 hp-hcip-gwy enl enl-name musiconline
fhsp oracle-vp2 oracle-vp1 jerand-lm scientia-sdb radius radius-acct tdp-suite mmpft harp rkb-oscs etftp
plato-lm mcagent donnyworld es-elmd unisys-lm metrics-pas direcpc-video ardt asi itm-mcell-u
optika-emedia net8-cman myrtle tht-treasure udpradio ardusuni ardusmul ste-smsc csoft1 talnet
netopia-vo1 netopia-vo2 netopia-vo3 netopia-vo4 netopia-vo5 direcpc-dll altalink tunstall-pnc slp-notify
fjdocdist alpha-sms gsi ctcd virtual-time vids-avtp buddy-draw fiorano-rtrsvc fiorano-msgsvc datacaptor
privateark gammafetchsvr sunscalar-svc lecroy-vicp mysql-cm-agent msnp paradym-31port entp swrmi udrive
viziblebrowser transact sunscalar-dns canocentral0 canocentral1 fjmpjps fjswapsnp westell-stats
ewcappsrv hp-webqosdb drmsmc nettgain-nms vsat-control ibm-mqseries2 ecsqdmn mqtt idmaps vrtstrapserver
leoip filex-lport ncconfig unify-adapter wilkenlistener childkey-notif childkey-ctrl elad o2server-port
1896=b-novative-ls metaagent cymtec-port mc2studios ssdp fjicl-tep-a fjicl-tep-b linkname fjicl-tep-c
sugp tpmd intrastar dawn global-wlink ultrabac mtp rhp-iibp armadp elm-momentum facelink persona noagent
can-nds can-dch can-ferret noadmin tapestry spice xiip discovery-port egs videte-cipc emsd-port
bandwiz-system driveappserver amdsched ctt-broker xmapi xaapi macromedia-fcs jetcmeserver jwserver
jwclient jvserver jvclient dic-aida res beeyond-media close-combat dialogic-elmd tekpls sentinelsrm
eye2eye ismaeasdaqlive ismaeasdaqtest bcs-lmserver mpnjsc rapidbase abr-api abr-secure vrtl-vmf-ds
unix-status dxadmind simp-all nasmanager bts-appserver biap-mp webmachine solid-e-engine tivoli-npm
slush sns-quote lipsinc lipsinc1 netop-rc netop-school intersys-cache dlsrap drp tcoflashagent
tcoregagent tcoaddressbook unisql unisql-java pearldoc-xact p2pq estamp lhtp bb hsrp licensedaemon
tr-rsrb-p1 tr-rsrb-p2 tr-rsrb-p3 stun-p1 stun-p2 stun-p3 snmp-tcp-port stun-port perf-port tr-rsrb-port
gdp-port x25-svc-port tcp-id-port cisco-sccp dc globe brutus mailbox berknet invokator dectalk conf news
search raid-cc ttyinfo raid-am troff cypress bootserver cypress-stat terminaldb whosockami
xinupageserver servexec down xinuexpansion3 xinuexpansion4 ellpack scrabble shadowserver submitserver
hsrpv6 device2 mobrien-chat blackboard glogger scoremgr imsldoc e-dpnet applus objectmanager prizma lam
interbase isis isis-bcast rimsl cdfunc sdfunc dls dls-monitor shilp av-emb-config epnsdp clearvisn
lot105-ds-upd weblogin iop omnisky rich-cp newwavesearch bmc-messaging teleniumdaemon netmount icg-swp
icg-bridge icg-iprelay dlsrpn aura dlswpn avauthsrvprtcl event-port ah-esp-encap acp-port msync
gxs-data-port vrtl-vmf-sa newlixengine newlixconfig tsrmagt tpcsrvr idware-router autodesk-nlm
kme-trap-port infowave radsec sunclustergeo ada-cip gnunet eli ip-blf sep lrp prp descent3 nbx-cc nbx-au
nbx-ser nbx-dir jetformpreview dialog-port h2250-annex-g amiganetfs rtcm-sc104 zephyr-srv zephyr-clt
zephyr-hm minipay mzap bintec-admin comcam ergolight umsp dsatp idonix-metanet hsl-storm ariascribe kdm
ccowcmr mentaclient mentaserver gsigatekeeper qencp scientia-ssdb caupc-remote gtp-control elatelink
lockstep pktcable-cops index-pc-wb net-steward cs-live xds avantageb2b solera-epmap zymed-zpp avenue
gris appworxsrv connect unbind-cluster ias-auth ias-reg ias-admind tdmoip lv-jc lv-ffx lv-pici lv-not
lv-auth veritas-ucl acptsys dynamic3d docent gtp-user ctlptc stdptc brdptc trp xnds touchnetplus
gdbremote apc-2160 apc-2161 navisphere navisphere-sec ddns-v3 x-bone-api iwserver raw-serial
easy-soft-mux brain eyetv msfw-storage msfw-s-storage msfw-replica msfw-array airsync rapi qwave
bitspeer vmrdp mc-gt-srv eforward cgn-stat cgn-config nvd onbase-dds gtaua ssmc radware-rpm
radware-rpm-s tivoconnect tvbus asdis drwcs 2197=mnp-exchange onehome-remote onehome-help 2201=ats
imtc-map b2-runtime b2-license jps hpocbus hpssd hpiod rimf-ps noaaport emwin leecoposserver kali rpi
ipcore vtu-comms gotodevice bounzza netiq-ncap netiq ethernet-ip-s EtherNet-IP-1 rockwell-csp2 efi-mg
rcip-itu di-drm di-msg ehome-ms datalens queueadm wimaxasncp ivs-video infocrypt directplay
sercomm-wlink nani optech-port1-lm aviva-sna imagequery recipe ivsd foliocorp magicom nmsserver hao
pc-mta-addrmap antidotemgrsvr ums rfmp remote-collab dif-port njenet-ssl dtv-chan-req seispoc vrtp
pcc-mfp simple-tx-rx rcts bid-serv apc-2260 comotionmaster comotionback ecwcfg apx500api-1 apx500api-2
mfserver ontobroker amt mikey starschool mmcals mmcal mysql-im pcttunnell ibridge-data ibridge-mgmt
bluectrlproxy s3db xmquery lnvpoller lnvconsole lnvalarm lnvstatus lnvmaps lnvmailmon nas-metering dna
netml dict-lookup sonus-logging eapsp mib-streaming npdbgmngr konshus-lm advant-lm theta-lm
d2k-datamover1 d2k-datamover2 pc-telecommute cvmmon cpq-wbem binderysupport proxy-gateway attachmate-uts
mt-scaleserver tappi-boxnet pehelp sdhelp sdserver sdclient messageservice wanscaler iapp cr-websystems
precise-sft sent-lm attachmate-g32 cadencecontrol infolibria siebel-ns rdlap ofsd 3d-nfsd cosmocall
ansysli idcp xingcsm netrix-sftm nvd tscchat agentview rcc-host snapp ace-client ace-proxy
appleugcontrol ideesrv norton-lambert 3com-webview wrs-registry xiostatus manage-exec nati-logos fcmsys
dbm redstorm-join redstorm-find redstorm-info redstorm-diag psbserver psrserver pslserver pspserver
psprserver psdbserver gxtelmd unihub-server futrix flukeserver nexstorindltd tl1 digiman mediacntrlnfsd
oi-2000 dbref qip-login service-ctrl opentable bif-p2p l3-hbmon rda lanmessenger remographlm hydra
docker docker-s swarm 2379=etcd-client etcd-server compaq-https ms-olap3 ms-olap4 sd-request sd-data
virtualtape vsamredirector mynahautostart ovsessionmgr rsmtp 3com-net-mgmt tacticalauth ms-olap1
ms-olap2 lan900-remote wusage ncl orbiter fmpro-fdal opequus-server cvspserver taskmaster2000
taskmaster2000 iec-104 trc-netpoll jediserver orion railgun-webaccl sns-protocol vrts-registry
netwave-ap-mgmt cdn orion-rmi-reg beeyond codima-rtp rmtserver composit-server cas attachmate-s2s
dslremote-mgmt g-talk crmsbits rnrp kofax-svr fjitsuappmgr vcmp mgcp-gateway ott ft-role venus venus-se
codasrv codasrv-se pxc-epmap optilogic topx unicontrol msp sybasedbsynch spearway pvsw-inet netangel
powerclientcsf btpp2sectrans dtn1 bues-service ovwdb hpppssvr ratl netadmin netchat snifferclient
madge-ltd indx-dds wago-io-system altav-remmgt rapido-ip griffin xrpl ms-theater qadmifoper qadmifevent
lsi-raid-mgmt direcpc-si lbm lbf high-criteria qip-msgd mti-tcs-comm taskman-port seaodbc c3 aker-cdp
vitalanalysis ace-server ace-svr-prop ssm-cvs ssm-cssps ssm-els powerexchange giop giop-ssl ttc ttc-ssl
netobjects1 netobjects2 pns moy-corp tsilb qip-qdhcp conclave-cpp groove talarian-mqs bmc-ar
fast-rem-serv dirgis quaddb odn-castraq unicontrol rtsserv rtsclient kentrox-prot nms-dpnss wlbs
ppcontrol jbroker spock jdatastore fjmpss fjappmgrbulk metastorm citrixima citrixadmin facsys-ntp
facsys-router maincontrol call-sig-trans willy globmsgsvc pvsw adaptecmgr windb qke-llc-v3 optiwave-lm
ms-v-worlds ema-sent-lm iqserver ncr-ccl utsftp vrcommerce ito-e-gui ovtopmd snifferserver
combox-web-acc madcap btpp2audctr1 upgrade vnwk-prapi vsiadmin lonworks lonworks2 udrawgraph reftek
novell-zen sis-emt vytalvaultbrtp vytalvaultvsmp vytalvaultpipe ipass ads isg-uda-server call-logging
efidiningport vcnet-link-v10 compaq-wcp nicetec-nmsvc nicetec-mgmt pclemultimedia lstp labrat mosaixcc
delibo cti-redwood hp-3000-telnet coord-svr pcs-pcw clp spamtrap sonuscallsig hs-port cecsvc ibp
trustestablish blockade-bpsp hl7 tclprodebugger scipticslsrvr rvs-isdn-dcp mpfoncl tributary argis-te
argis-ds mon cyaserv netx-server netx-agent masc privilege quartus-tcl idotdist maytagshuffle netrek
mns-mail dts worldfusion1 worldfusion2 homesteadglory citriximaclient snapd hpstgmgr discp-client
discp-server servicemeter nsc-ccs nsc-posa netmon connection wag-service system-monitor versa-tek
lionhead qpasa-agent smntubootstrap neveroffline firepower appswitch-emp cmadmin priority-e-com bruce
lpsrecommender miles-apart metricadbc lmdp aria blwnkl-port gbjd816 moshebeeri dict sitaraserver
sitaramgmt sitaradir irdg-post interintelli pk-electronics backburner solve imdocsvc sybaseanywhere
aminet ami-control hdl-srv tragic gte-samp travsoft-ipx-t novell-ipx-cmd and-lm syncserver upsnotifyprot
vpsipport eristwoguns ebinsite interpathpanel sonus corel-vncadmin unglue kana sns-dispatcher sns-admin
sns-query gcmonitor olhost bintec-capi bintec-tapi patrol-mq-gm patrol-mq-nm extensis alarm-clock-s
alarm-clock-c toad tve-announce newlixreg nhserver firstcall42 ewnn ttc-etap simslink gadgetgate1way
gadgetgate2way syncserverssl pxc-sapxom mpnjsomb 2683=ncdloadbalance mpnjsosv mpnjsocl mpnjsomg
pq-lic-mgmt md-cg-http fastlynx hp-nnm-data itinternet admins-lms 2694=pwrsevent vspread unifyadmin
oce-snmp-trap mck-ivpip csoft-plusclnt tqdata sms-rcinfo sms-xfer sms-chat sms-remctrl sds-admin
ncdmirroring emcsymapiport banyan-net supermon sso-service sso-control aocp raventbs raventdm hpstgmgr2
inova-ip-disco pn-requester pn-requester2 scan-change wkars smart-diagnose proactivesrvr watchdog-nt
qotps msolap-ptp2 tams mgcp-callagent sqdr tcim-control nec-raidplus fyre-messanger g5m signet-ctf
ccs-software netiq-mc radwiz-nms-srv srp-feedback ndl-tcp-ois-gw tn-timing alarm tsb tsb2 murx honyaku
urbisnet cpudpencap fjippol-swrly fjippol-polsvr fjippol-cnsl fjippol-port1 fjippol-port2 rsisysaccess
de-spot apollo-cc expresspay simplement-tie cnrp apollo-status apollo-gms sabams dicom-iscl dicom-tls
desktop-dna data-insurance qip-audup compaq-scp uadtc uacs exce veronica vergencecm auris rbakcup1
rbakcup2 smpp ridgeway1 ridgeway2 gwen-sonya lbc-sync lbc-control whosells everydayrc aises www-dev
aic-np aic-oncrpc piccolo fryeserv media-agent plgproxy mtport-regist f5-globalsite initlsmsad
2795=livestats ac-tech esp-encap tmesis-upshot icon-discover acc-raid igcp veritas-tcp1 btprjctrl
dvr-esm wta-wsp-s cspuni cspmulti j-lan-p corbaloc netsteward gsiftp atmtcp llm-pass llm-csv lbc-measure
lbc-watchdog nmsigport rmlnk fc-faultnotify univision vrts-at-port ka0wuc cqg-netlan cqg-netlan-1
2826=slc-systemlog slc-ctrlrloops itm-lm silkp1 silkp2 silkp3 silkp4 glishd evtp evtp-data catalyst
repliweb starbot nmsigport l3-exprt l3-ranger l3-hawk pdnet bpcp-poll bpcp-trap aimpp-hello
aimpp-port-req amt-blc-port fxp metaconsole webemshttp bears-01 ispipes infomover msrp cesdinv simctlp
ecnp activememory dialpad-voice1 dialpad-voice2 ttg-protocol sonardata astronova-main pit-vpn iwlistener
esps-portal npep-messaging icslap daishi msi-selectplay radix psrt dxmessagebase1 dxmessagebase2
sps-tunnel bluelance aap ucentric-ds synapse ndsp ndtp ndnp flashmsg topflow responselogic aironetddp
spcsdlobby rsom cspclmulti cinegrfx-elmd snifferdata vseconnector abacus-remote natuslink ecovisiong6-1
citrix-rtmp appliance-cfg powergemplus quicksuite allstorcns netaspi suitcase m2ua m3ua caller9
webmethods-b2b mao funk-dialout tdaccess blockade epicon boosterware gamelobby tksocket elvin-server
elvin-client kastenchasepad roboer roboeda cesdcdman cesdcdtrn wta-wsp-wtp-s precise-vip
2926=mobile-file-dl unimobilectrl redstone-cpss amx-webadmin amx-weblinx circle-x incp 4-tieropmgw
4-tieropmcli qtp otpatch pnaconsult-lm sm-pas-1 sm-pas-2 sm-pas-3 sm-pas-4 sm-pas-5 ttnrepository
megaco-h248 h248-binary fjsvmpor gpsd wap-push wap-pushsecure esip ottp mpfwsas ovalarmsrv
ovalarmsrv-cmd csnotify ovrimosdbman jmact5 jmact6 rmopagt dfoxserver boldsoft-lm iph-policy-cli
iph-policy-adm bullant-srap bullant-rap idp-infotrieve ssc-agent enpp essp index-net netclip
pmsm-webrctl svnetworks signal fjmpcm cns-srv-port ttc-etap-ns ttc-etap-ds h263-video wimd mylxamport
iwb-whiteboard netplan hpidsadmin hpidsagent stonefalls identify hippad zarkov boscap wkstn-mon avenyo
veritas-vis1 veritas-vis2 idrs vsixml rebol realsecure remoteware-un hbci origo-native exlm-agent cgms
csoftragent geniuslm ii-admin lotusmtap midnight-tech pxc-ntfy gw trusted-web twsdss gilatskysurfer
broker-service nati-dstp notify-srvr event-listener srvc-registry resource-mgr cifs agriserver
csregagent magicnotes nds-sso arepa-raft agri-gateway LiebDevMgmt-C LiebDevMgmt-DM LiebDevMgmt-A
arepa-cas eppc redwood-chat pdb osmosis-aeea fjsv-gssagt hagel-dump hp-san-mgmt santak-ups cogitate
tomato-springs di-traceware journee brp epp responsenet di-ase hlserver pctrader nsws gds-db
galaxy-server apc-3052 dsom-server amt-cnf-prot policyserver cdl-server goahead-fldup videobeans qsoft
interserver cautcpd ncacn-ip-tcp ncadg-ip-udp rprt slinterbase netattachsdmp fjhpjp ls3bcast ls3
mgxswitch xplat-replicate csd-monitor vcrp xbox orbix-locator orbix-config orbix-loc-ssl orbix-cfg-ssl
lv-frontpanel stm-pproc tl1-lv tl1-raw tl1-telnet itm-mccs pcihreq jdl-dbkitchen asoki-sma xdtp
ptk-alink stss 1ci-smcs 3093=rapidmq-center rapidmq-reg panasas ndl-aps 3098=umm-port chmd opcon-xps
hp-pxpib slslavemon autocuesmi autocuelog cardbox cardbox-http business geolocate personnel sim-control
wsynch ksysguard cs-auth-svr ccmad mctet-master mctet-gateway mctet-jserv pkagent d2000kernel
d2000webserver pcmk-remote vtr-emulator edix beacon-port a13-an 3127=ctx-bridge ndl-aas netport-id icpv2
netbookmark ms-rule-engine prism-deploy ecp peerbook-port grubd rtnt-1 rtnt-2 incognitorv ariliamulti
vmodem rdc-wh-eos seaview tarantella csi-lfap bears-02 rfio nm-game-admin nm-game-server nm-asses-admin
nm-assessor feitianrockey s8-client-port ccmrmi jpegmpeg indura e3consultants stvp navegaweb-port
tip-app-server doc1lm sflm res-sap imprs newgenpay sossecollector nowcontact poweronnud serverview-as
serverview-asn serverview-gf serverview-rm serverview-icc armi-server t1-e1-over-ip ars-master
phonex-port radclientport h2gf-w-2m mc-brk-srv bmcpatrolagent bmcpatrolrnvu cops-tls apogeex-port smpppd
iiw-port odi-port brcm-comm-port pcle-infex csvr-proxy csvr-sslproxy firemonrcc spandataport magbind
ncu-1 ncu-2 embrace-dp-s embrace-dp-c dmod-workspace tick-port cpq-tasksmart intraintra netwatcher-mon
netwatcher-db isns ironmail vx-auth-port pfu-prcallback netwkpathengine flamenco-proxy avsecuremgmt
surveyinst neon24x7 jmq-daemon-1 jmq-daemon-2 ferrari-foam unite smartpackets wms-messenger xnm-ssl
xnm-clear-text glbp digivote aes-discovery fcip-port isi-irp dwnmshttp dwmsgserver global-cd-port
sftdst-port vidigo mdtp whisker alchemy mdap-port apparenet-ts apparenet-tps apparenet-as apparenet-ui
triomotion sysorb sdp-id-port timelot onesaf vieo-fe dvt-system dvt-data procos-lm ssp hicp sysscanner
dhe pda-data pda-sys semaphore cpqrpm-agent cpqrpm-server ivecon-port epncdp2 iscsi-target winshadow
necp ecolor-imager ccmail altav-tunnel ns-cfg-server ibm-dial-out msft-gc msft-gc-ssl verismart
csoft-prev user-manager sxmp ordinox-server samd maxim-asics awg-proxy lkcmserver admind vs-server
sysopt datusorb Apple~Remote~Desktop~(Net~Assistant) 4talk plato e-net directvdata cops enpc caps-lm
sah-lm cart-o-rama fg-fps fg-gip dyniplookup rib-slm cytel-lm deskview pdrncs ceph tarantool
mcs-fastmail opsession-clnt opsession-srvr odette-ftp mysql opsession-prxy tns-server tns-adv
dyna-access mcns-tel-ret appman-server uorb uohost cdid aicc-cmi vsaiport ssrip sdt-lmd officelink2000
vnsstr 3326=sftu bbars egptlm hp-device-disc mcs-calypsoicf mcs-messaging mcs-mailsvr dec-notes
directv-web directv-soft directv-tick directv-catlg anet-b anet-l anet-m anet-h webtie ms-cluster-net
bnt-manager influence trnsprntproxy phoenix-rpc pangolin-laser chevinservices findviatv btrieve ssql
fatpipe suitjd ordinox-dbase upnotifyps adtech-test mpsysrmsvr wg-netforce kv-server kv-agent dj-ilm
nati-vi-server creativeserver contentserver creativepartnr 3372=tip2 lavenir-lm cluster-disc vsnm-agent
cdbroker cogsys-lm wsicopy socorfs sns-channels geneous fujitsu-neat esp-lm hp-clic qnxnetman gprs-data
backroomnet cbserver ms-wbt-server dsc savant efi-lm d2k-tapestry1 d2k-tapestry2 dyna-lm printer-agent
cloanto-lm mercantile csms csms2 filecast fxaengine-net 3405=nokia-ann-ch1 nokia-ann-ch2 ldap-admin
BESApi networklens networklenss biolink-auth xmlblaster svnet wip-port bcinameservice commandport csvr
rnmap softaudit ifcp-port bmap rusb-sys-port xtrm xtrms agps-port arkivio websphere-snmp twcss gcsp
ssdispatch ndl-als osdcp opnet-smp opencm pacom gc-config autocueds spiral-admin hri-port ans-console
connect-client connect-server ov-nnm-websrv denali-server monp 3comfaxrpc directnet dnc-port hotu-chat
castorproxy asam sabp-signal pscupd mira prsvp vat vat-control d3winosfi integral edm-manager edm-stager
edm-std-notify edm-adm-notify edm-mgr-sync edm-mgr-cntrl workflow rcst ttcmremotectrl pluribus jt400
jt400-ssl jaugsremotec-1 jaugsremotec-2 ttntspauto genisar-port nppmp ecomm stun twrpc plethora
cleanerliverc vulture slim-devices gbs-stp celatalk ifsf-hb-port ltctcp fs-rh-srv dtp-dia colubris
swr-port tvdumtray-port nut ibm3494 seclayer-tcp seclayer-tls ipether232port dashpas-port sccip-media
rtmp-port isoft-p2p avinstalldisc lsp-ping ironstorm ccmcomm apc-3506 nesh-broker interactionweb vt-ssl
xss-port webmail-2 aztec arcpd must-p2p must-backplane smartcard-port 802-11-iapp artifact-msg nvmsgd
galileolog mc3ss nssocketport odeumservlink ecmport eisport starquiz-port beserver-msg-q jboss-iiop
jboss-iiop-ssl gf joltid raven-rmp raven-rdp urld-port ms-la snac ni-visa-remote ibm-diradm
ibm-diradm-ssl pnrp-port voispeed-port hacl-monitor qftest-lookup teredo camac 3547=symantec-sim
interworld tellumat-nms ssmpp apcupsd taserver rbr-discovery questnotify razor sky-transport
personalos-001 mcp-port cctv-port iniserve-port bmc-onekey sdbproxy watcomdebug esimport m2pa
quest-data-hub dof-eps dof-tunnel-sec mbg-ctrl mccwebsvr-port megardsvr-port megaregsvrport tag-ups-1
dmaf-server ccm-port cmc-port config-port data-port ttat3lb nati-svrloc kfxaclicensing press canex-watch
u-dbap emprise-lls emprise-lsc p2pgroup sentinel isomair wv-csp-sms gtrack-server gtrack-ne bpmd
mediaspace shareapp iw-mmogame a14 a15 quasar-server trap-daemon visinet-gui infiniswitchcl
int-rcv-cntrl bmc-jmx-port comcam-io splitlock precise-i3 trendchip-dcp cpdi-pidas-cm echonet
six-degrees dataprotector alaris-disc sigma-port start-network cd3o-protocol sharp-server aairnet-1
aairnet-2 ep-pcp ep-nsp ff-lr-port haipe-discover dist-upgrade volley bvcdaemon-port jamserverport
ept-machine escvpnet cs-remote-db cs-services distcc wacp hlibmgr sdo servistaitsm scservp ehp-backup
xap-ha netplay-port1 netplay-port2 juxml-port audiojuggler ssowatch cyc xss-srv-port splitlock-gw fjcp
nmmp prismiq-plugin xrpc-registry vxcrnbuport tsp vaprtm abatemgr abatjss immedianet-bcn ps-ams
apple-sasl can-nds-ssl can-ferret-ssl pserver dtp ups-engine ent-engine eserver-pap infoexch
dell-rm-port casanswmgmt smile efcp lispworks-orb mediavault-gui wininstall-ipc calltrax va-pacbase
roverlog ipr-dglt Escale~(Newton~Dock) npds-tracker bts-x73 cas-mapi bmc-ea faxstfx-port dsx-agent
tnmpv2 simple-push simple-push-s daap svn magaya-network intelsync easl 3695=bmc-data-coll telnetcpcd
nw-license sagectlpanel kpn-icw lrs-paging netcelera ws-discovery adobeserver-3 adobeserver-4
adobeserver-5 rt-event rt-event-s sun-as-iiops ca-idms portgate-auth edb-server2 sentinel-ent tftps
delos-dms anoto-rendezv wv-csp-sms-cir wv-csp-udp-cir opus-services itelserverport ufastro-instr xsync
xserveraid sychrond blizwow na-er-tip array-manager e-mdu e-woa fksp-audit client-ctrl smap m-wnn
multip-msg synel-data pwdis rs-rmi xpanel versatalk launchbird-lm heartbeat wysdma cst-port ipcs-command
sasg gw-call-port linktest linktest-s webdata cimtrak cbos-ip-port gprs-cube vipremoteagent nattyserver
timestenbroker sas-remote-hlp canon-capt grf-port apw-registry exapt-lmgr adtempusclient gsakmp gbs-smp
xo-wave mni-prot-rout rtraceroute sitewatch-s listmgr-port rblcheckd haipe-otnk cindycollab paging-port
ctp ctdhercules zicom ispmmgr dvcprov-port jibe-eb c-h-it-port cognima nnp abcvoice-port iso-tp0s
bim-pem bfd-control bfd-echo upstriggervsw fintrx isrp-port remotedeploy quickbooksrds tvnetworkvideo
sitewatch dcsoftware jaus myblast spw-dialer idps minilock radius-dynauth pwgpsi ibm-mgr vhd soniqsync
iqnet-port tcpdataserver wsmlb spugna sun-as-iiops-ca apocd wlanauth amp neto-wol-server rap-ip neto-dcs
lansurveyorxml sunlps-http tapeware crinis-hb epl-slp scp pmcp acp-discovery acp-conduit acp-policy
ffserver warmux netmpi neteh neteh-ext cernsysmgmtagt dvapps xxnetserver aipn-auth spectardata spectardb
markem-dcp mkm-discovery sos amx-rms flirtmitmir shiprush-db-svr nhci quest-agent rnm v-one-spp an-pcp
msfw-control item spw-dnspreload qtms-bootstrap spectraport sse-app-config sscan stryker-com opentrac
informer trap-port trap-port-mom nav-port sasp winshadow-hd giga-pocket asap-tcp asap-tcp-tls xpl
dzdaemon dzoglserver diameter ovsam-mgmt ovsam-d-agent avocent-adsap oem-agent fagordnc sixxsconfig
pnbscada dl-agent xmpcr-interface fotogcad appss-lm igrs idac msdts1 vrpn softrack-meter topflow-ssl
nei-management ciphire-data ciphire-serv dandv-tester ndsconnect rtc-pm-port pcc-image-port cgi-starapi
syam-agent syam-smc sdo-tls sdo-ssh senip itv-control udt-os nimsh nimaux charsetmgr omnilink-port
mupdate topovista-data imoguia-port hppronetman surfcontrolcpa prnrequest prnstatus gbmt-stars
listcrt-port listcrt-port-2 agcat wysdmc aftmux pktcablemmcops hyperip exasoftport1 herodotus-net
sor-update symb-sb-port mpl-gprs-port zmp winport natdataservice netboot-pxe smauth-port syam-webserver
msr-plugin-port dyn-site plbserve-port sunfm-port sdp-portmapper mailprox dvbservdsc dbcontrol-agent
aamp xecp-node homeportal-web srdp tig sops emcads backupedge ccp apdap drip namemunge pwgippfax
i3-sessionmgr xmlink-connect adrep p2pcommunity gvcp mqe-broker mqe-agent treehopper bess proaxess
sbi-agent thrp sasggprs ati-ip-to-ncpe bflckmgr ppsms ianywhere-dbns landmarks lanrevagent lanrevserver
iconp progistics xk22 airshot opswagent opswmanager secure-cfg-svr smwan 3981=starfish eis eisp
mapper-nodemgr mapper-mapethd mapper-ws-ethd centerline dcs-config bv-queryengine bv-is bv-smcsrv bv-ds
bv-agent 3995=iss-mgmt-ssl abcsoftware agentsease-db dnx nvcnet terabase newoak pxc-spvr-ft pxc-splr-ft
pxc-roid pxc-pin pxc-spvr pxc-splr netcheque chimera-hwm samsung-unidex altserviceboot pda-gate
acl-manager taiclock talarian-mcast1 talarian-mcast2 talarian-mcast3 talarian-mcast4 talarian-mcast5
trap nexus-portal dnox esnm-zoning tnp1-port partimage as-debug bxp dtserver-port ip-qsig jdmn-port
suucp vrts-auth-port sanavigator ubxd wap-push-http wap-push-https ravehd fazzt-ptp fazzt-admin yo-main
houston ldxp nirp ltp npp acp-proto ctp-state 4049=wafs cisco-wafs cppdp interact ccu-comm-1 ccu-comm-2
ccu-comm-3 lms wfm kingfisher dlms-cosem dsmeter-iatc ice-location ice-slocation ice-router ice-srouter
avanti-cdp pmas idp ipfltbcst minger tripe aibkup zieto-sock iRAPP cequint-cityid perimlan seraph
4078=cssp santools lorica-in lorica-in-sec lorica-out lorica-out-sec 4085=ezmessagesrv
4087=applusservice npsp opencore omasgport ewinstaller ewdgs pvxpluscs sysrqd xtgui bre patrolview
drmsfsd dpcp igo-incognito brlp-0 brlp-1 brlp-2 brlp-3 shofar synchronite j-ac accel izm g2tag xgrid
apple-vpns-rp aipn-reg jomamqmonitor cds smartcard-tls hillrserv netscript assuria-slm minirem e-builder
fprams z-wave tigv2 opsview-envoy ddrepl unikeypro nufw nuauth fronet stars nuts-dem nuts-bootp
nifty-hmi cl-db-attach cl-db-request cl-db-remote nettest thrtx cedros-fds oirtgsvc oidocsvc oidsr
4145=vvr-control tgcconnect vrxpservman hhb-handheld agslb PowerAlert-nsa menandmice-noh idig-mux
mbl-battd atlinks bzr stat-results stat-scanner stat-cc nss jini-discovery omscontact omstopology
silverpeakpeer silverpeakcomm altcp joost ddgn pslicser iadt d-cinema-csp ml-svnet pcoip 4174=smcluster
bccp tl-ipcproxy wello storman MaxumSP httpx macbak pcptcpservice cyborgnet universe-suite wcpp
boxbackupstore csc-proxy vatata pcep sieve 4192=azeti pvxplusio spdm aws-wsp 4197=hctl 4199=eims-admin
4300=corelccam d-data d-data-control srcp owserver batman pinghgl trueconf compx-lockview dserver
mirrtex p6ssmc pscl-mgt perrla choiceview-agt 4316=choiceview-clt opentelemetry 4319=fox-skytale
fdt-rcatp rwhois trim-event trim-ice 4325=geognosisadmin geognosis jaxer-web jaxer-manager
publiqare-sync dey-sapi ktickets-rest getty-focus ahsp netconf-ch-ssh netconf-ch-tls restconf-ch-tls
4340=gaia 4343=unicall vinainstall m4-network-as elanlm lansurveyor itose fsportmap net-device
plcy-net-svcs pjlink f5-iquery qsnet-trans qsnet-workst qsnet-assist qsnet-cond qsnet-nucl omabcastltkm
matrix-vnet 4368=wxbrief epmd elpro-tunnel l2c-control l2c-data remctl psi-ptt tolteces bip cp-spxsvr
cp-spxdpy ctdb 4389=xandros-cms wiegand apwi-imserver apwi-rxserver apwi-rxspooler 4395=omnivisionesx
fly 4400=ds-srv ds-srvr ds-clnt ds-user ds-admin ds-mail ds-slp nacagent slscc netcabinet-com
itwo-server found 4413=avi-nms updog brcd-vr-req pjj-player workflowdir 4419=cbp nvme scaleft tsepisp
thingkit 4425=netrockey6 beacon-port-2 drizzle omviserver omviagent rsqlserver wspipe l-acoustics vop
4442=saris pharos krb524 upnotifyp n1-fwp n1-rmgmt asc-slmd privatewire camp ctisystemmsg ctiprogramload
nssalertmgr nssagentmgr prchat-user prchat-server prRegister mcp 4460=ntske 4484=hpssmgmt assyst-dr icms
prex-tcp awacs-ice 4500=ipsec-nat-t 4535=ehs ehs-ssl wssauthsvc swx-gate 4545=worldscores sf-lm
lanner-lm synchromesh aegate gds-adppiw-db ieee-mih menandmice-mon icshostsvc msfrs rsip dtn-bundle
4559=hylafax 4563=amahi-anywhere 4566=kwtc tram bmc-reporting iax deploymentmap 4573=cardifftec-back
4590=rid l3t-at-an 4593=ipt-anri-anri ias-session ias-paging ias-neighbor a21-an-1xbs a16-an-an
a17-an-an piranha1 piranha2 mtsserver menandmice-upg irp sixchat sixid 4646=dots-signal
4658=playsta2-app playsta2-lob smaclmgr kar2ouche oms noteit ems contclientms eportcomm mmacomm mmaeds
eportcommdata light acter rfa cxws appiq-mgmt dhct-status dhct-alerts bcs traversal mgesupervision
mgemanagement parliant finisar spike rfid-rp1 autopac msp-os nst mobile-p2p altovacentral prelude mtn
conspiracy 4700=netxms-agent netxms-mgmt netxms-sync npqes-test assuria-ins 4711=trinity-dist
4725=truckstar 4727=fcis capmux 4730=gearman remcap 4733=resorcs 4737=ipdr-sp solera-lpn ipfix ipfixs
lumimgrd sicct openhpid ifsp fmp 4749=profilemac ssad spocp snap simon 4756=RDCenter 4774=converge
4784=bfd-multi-ctl 4786=smart-install sia-ctrl-plane xmcp 4792=unified-bus 4800=iims iwec ilss notateit
4827=htcp 4837=varadero-0 varadero-1 varadero-2 opcua-tcp quosa gw-asv opcua-tls gw-log wcr-remlib
contamac-icm wfc appserv-http appserv-https sun-as-nodeagt derby-repli 4867=unify-debug phrelay
phrelaydbg cc-tracking wired 4876=tritium-can lmcs 4879=wsdl-event hislip 4883=wmlserver hivestor abbs
4888=xcap-portal xcap-control 4894=lyskom 4899=radmin-port hfcs flr-agent magiccontrol 4912=lutap lutcp
bones frcs 4940=eq-office-4940 eq-office-4941 eq-office-4942 4949=munin sybasesrvmon pwgwims sagxtsds
dbsyncarbiter 4969=ccss-qmm ccss-qsm burp 4984=webyast gerhcs mrip smar-se-port1 smar-se-port2 parallel
busycal vrt 4999=hfcs-manager commplex-main commplex-link rfe fmpro-internal avt-profile-1 avt-profile-2
wsm-server wsm-server-ssl synapsis-edge winfs telelpathstart telelpathattack nsp fmpro-v6 5015=fmwp
5020=zenginkyo-1 zenginkyo-2 mice htuilsrv scpi-telnet scpi-raw strexec-d strexec-s qvr infobright
5032=signacert-agent jtnetd-server jtnetd-status 5042=asnaacceler8db swxadmin lxi-evntsvc osp 5048=texai
ivocalize mmcc ita-agent ita-manager rlm rlm-admin unot intecom-ps1 intecom-ps2 5059=sds sip sips
na-localise csrpc ca-1 ca-2 stanag-5066 authentx bitforestsrv i-net-2000-npr vtsas powerschool ayiya
tag-pm alesquery pvaccess 5080=onscreen sdl-ets qcp qfp llrp encrypted-llrp aprigo-cs biotic
5093=sentinel-lm hart-ip 5099=sentlm-srv2srv socalia talarian-tcp oms-nonsecure actifio-c2c
5106=actifioudsagent actifioreplic 5111=taep-as-svc pm-cmdsvr 5114=ev-services autobuild 5117=gradecam
5120=barracuda-bbs 5133=nbt-pc ppactivation erp-scale 5137=ctsd 5145=rmonitor-secure social-alarm
5150=atmp esri-sde sde-discovery 5154=bzflag asctrl-agent rugameonline mediat 5161=snmpssh snmpssh-trap
sbackup vpa ife-icorp winpcs scte104 scte30 5172=pcoip-mgmt 5190=aol aol-1 aol-2 aol-3 cpscomm ampl-lic
ampl-tableproxy tunstall-lwp 5200=targus-getdata targus-getdata1 targus-getdata2 targus-getdata3
5209=nomad 5215=noteza 5221=3exmp xmpp-client hpvirtgrp hpvirtctrl hp-server hp-status perfd hpvroom
jaxflow jaxflow-data crusecontrol csedaemon enfs eenet galaxy-network padl2sim mnet-discovery
5242=attune xycstatus 5245=downtools 5248=caacws caaclang2 soagateway caevms movaz-ssc kpdp logcabin
5264=3com-njack-1 3com-njack-2 5269=xmpp-server cartographerxmp cuelink pk 5280=xmpp-bosh undo-lm
transmit-port 5298=presence nlg-data hacl-hb hacl-gs hacl-cfg hacl-probe hacl-local hacl-test sun-mc-grp
sco-aip cfengine jprinter outlaws 5312=permabit-cs rrdp opalis-rbt-ipc hacl-poll hpbladems hpdevms
pkix-cmc 5320=bsfserver-zn bsfsvr-zn-ssl 5343=kfserver xkotodrcp 5349=stuns 5352=dns-llq mdns
mdnsresponder llmnr ms-smlbiz wsdapi wsdapi-s ms-alerter ms-sideshow ms-s-sideshow serverwsd2
net-projection 5397=stresstester elektron-admin securitychase excerpt excerpts mftp hpoms-ci-lstn
hpoms-dps-lstn netsupport systemics-sox foresyte-clear foresyte-sec salient-dtasrv salient-usrmgr actnet
continuus wwiotalk statusd ns-server sns-gateway sns-agent mcntp dj-ice cylink-c netsupport2 salient-mux
virtualuser beyond-remote br-channel devbasic sco-peer-tta telaconsole base radec-corp park-agent
postgresql pyrrho sgi-arrayd sceanics 5443=spss 5445=smbdirect 5450=tiepie 5453=surebox apc-5454
apc-5455 apc-5456 5461=silkmeter ttl-publisher ttlpriceproxy quailnet netops-broker 5470=apsolab-col
apsolab-cols apsolab-tag apsolab-tags 5475=apsolab-data 5500=fcp-addr-srvr1 fcp-addr-srvr2
fcp-srvr-inst1 fcp-srvr-inst2 fcp-cics-gw1 checkoutdb amc psl-management 5540=matter 5550=cbus
5553=sgi-eventmond sgi-esphttp personal-agent freeciv farenet 5565=dp-bura westec-connect dof-dps-mc-sec
sdt rdmnet-ctrl 5573=sdmmp lsi-bobcat ora-oap 5579=fdtracks tmosms0 tmosms1 fac-restore tmo-icon-sync
bis-web bis-sync att-mt-sms 5597=ininmessaging mctfeed esinstall esmmanager esmagent a1-msc a1-bs
a3-sdunode a4-sdunode 5618=efr 5627=ninaf htrust symantec-sfdb precise-comm pcanywheredata
pcanywherestat beorl xprtld sfmsso sfm-db-server cssc flcrs ics 5646=vfmobile 5666=nrpe 5670=filemq
amqps amqp jms hyperscsi-port v5ua raadmin questdb2-lnchr rrac dccm auriga-router ncxcp 5683=coap coaps
5688=ggz qmvideo 5693=rbsystem 5696=kmip 5700=supportassist 5705=storageos 5713=proshareaudio
prosharevideo prosharedata prosharerequest prosharenotify dpm dpm-agent ms-licensing dtpt msdfsr omhs
omsdk ms-ilm ms-ilm-sts asgenf io-dist-data openmail unieng 5741=ida-discover1 ida-discover2
watchdoc-pod watchdoc fcopy-server fcopys-server tunatic tunalyzer 5750=rscd 5755=openmailg 5757=x500ms
5766=openmailns s-openmail openmailpxy spramsca spramsd netagent 5777=starfield-io 5780=vts-rpc
3par-evts 3par-mgmt 3par-mgmt-ssl 5785=3par-rcopy 5793=xtreamx 5798=enlabel-dpl 5813=icmpd
spt-automation 5820=autopassdaemon 5841=shiprush-d-ch reversion 5859=wherehoo 5863=ppsuitemsg
5868=diameters 5883=jute 5900=rfb 5903=ff-ice ag-swim asmgcs rpas-c2 dsd ipsma agma ats-atn ats-acars
ais-met aoc-acars 5963=indy 5968=mppolicy-v5 mppolicy-mgr 5984=couchdb wsman wsmans wbem-rmi wbem-http
wbem-https wbem-exp-https nuxsl consul-insight cim-rs rms-agent 5999=cvsup 6064=ndl-ahp-svc winpharaoh
ewctsp 6068=gsmp-ancp trip messageasap ssdtp diagnose-proc directplay8 max dpm-acm msft-dpm-cert
iconstructsrv 6084=reload-config konspire2b pdtp ldss doglms 6099=raxa-mgmt synchronet-db synchronet-rtc
synchronet-upd rets dbdb primaserver mpsserver etc-control sercomm-scadmin globecast-id softcm spc
dtspcd dayliteserver wrspice xic xtlserv daylitetouch 6121=spdy bex-webadmin backup-express pnbs
6130=damewaremobgtwy 6133=nbt-wol 6140=pulsonixnls meta-corp aspentec-lm watershed-lm statsci1-lm
statsci2-lm lonewolf-lm montage-lm ricardo-lm tal-pod 6159=efb-aci ecmp patrol-ism patrol-coll pscribe
6200=lm-x 6209=qmtps 6222=radmind 6241=jeol-nsdtp-1 jeol-nsdtp-2 jeol-nsdtp-3 jeol-nsdtp-4
6251=tl1-raw-ssl tl1-ssh crip 6267=gld grid grid-alt 6300=bmc-grx bmc-ctd-ldap 6306=ufmp 6315=scup
abb-escp nav-data-cmd 6320=repsvc emp-server1 emp-server2 6324=hrd-ncs dt-mgmtsvc dt-vra 6343=sflow
streletz 6346=gnutella-svc gnutella-rtr 6350=adap 6355=pmcs 6360=metaedit-mu 6370=metaedit-se 6379=redis
6382=metatude-mds 6389=clariion-evr01 metaedit-ws 6417=faxcomservice syserverremote svdrp nim-vdrshell
nim-wan 6432=pgbouncer 6440=heliosd 6442=tarp sun-sr-https sge-qmaster sge-execd mysql-proxy
6455=skip-cert-recv skip-cert-send 6464=ieee11073-20701 6471=lvision-lm 6480=sun-sr-http servicetags
ldoms-mgmt SunVTS-RMI sun-sr-jms sun-sr-iiop sun-sr-iiops sun-sr-iiop-aut sun-sr-jmx sun-sr-admin
6500=boks boks-servc boks-servm boks-clntd 6505=badm-priv badm-pub bdir-priv bdir-pub mgcs-mfp-port
mcer-port 6513=netconf-tls syslog-tls elipse-rec 6543=lds-distrib lds-dump 6547=apc-6547 apc-6548
apc-6549 fg-sysupdate sum 6556=checkmk-agent 6558=xdsxdm 6566=sane-port 6568=canit-store 6579=affiliate
parsec-master parsec-peer parsec-game joaJewelSuite 6600=mshvlm mstmg-sstp wsscomfrmwk 6619=odette-ftps
kftp-data kftp mcftp ktelnet datascaler-db datascaler-ctl wago-service nexgen afesc-mc nexgen-aux
6632=mxodbc-connect 6640=ovsdb 6653=openflow 6655=pcs-sf-ui-man emgmsg 6670=vocaltec-gold p4p-portal
vision-server vision-elmd 6678=vfbp osaut 6687=clever-ctrace clever-tcpip tsa cleverdetect 6697=ircs-u
6701=kti-icad-srvr e-design-net e-design-web 6714=ibprotocol fibotrader-com princity-agent
6767=bmc-perf-agent bmc-perf-mgrd adi-gxp-srvprt plysrv-http plysrv-https 6777=ntz-tracker
ntz-p2p-storage 6785=dgpf-exchg smc-jmx smc-admin smc-http radg hnmp hnm 6801=acnet 6817=pentbox-sim
6831=ambit-lm 6841=netmo-default netmo-http 6850=iccrushmore 6868=acctopus-cc 6888=muse 6900=rtimeviewer
jetstream 6924=split-ping 6935=ethoscan xsmsvc 6946=bioserver 6951=otlp 6961=jmact3 jmevt2 swismgr1
swismgr2 swistrap swispol 6969=acmsoda conductor 6997=MobilitySrv iatp-highpri iatp-normalpri
afs3-fileserver afs3-callback afs3-prserver afs3-vlserver afs3-kaserver afs3-volser afs3-errors afs3-bos
afs3-update afs3-rmtsys ups-onlinet talon-disc talon-engine microtalon-dis microtalon-com
talon-webserver spg grasp fisa-svc doceri-ctl dpserve dpserveadmin ctdp ct2nmcs vmsvc vmsvc-2
loreji-panel 7030=op-probe iposplanet 7070=arcp iwg1 iba-cfg martalk 7080=empowerid 7099=lazy-ptop
font-service elcn 7117=rothaga 7121=virprot-lm 7123=snif 7128=scenidm scenccs 7161=cabsm-comm
caistoragemgr cacsambroker fsr doc-server aruba-server casrmagent cnckadserver ccag-pib nsrp
drm-production metalbend zsecure clutild 7200=fodms dlip pon-ictp 7215=PS-Server PS-Capture-Pro
7227=ramp citrixupp citrixuppg 7234=asa-gateways 7236=display pads 7244=frc-hicp 7262=cnap
7272=watchme-7272 oma-rlp oma-rlp-s oma-ulp oma-ilp oma-ilp-s oma-dcdocbs ctxlic itactionserver1
itactionserver2 mzca-action genstat 7365=lcm-server 7391=mindfilesys mrssrendezvous nfoldman fse
winqedit 7397=hexarc 7400=rtps-discovery rtps-dd-ut rtps-dd-mt 7410=ionixnetmon daqstream 7421=mtportmon
7426=pmdmgr oveadmgr ovladmgr opi-sock xmpv7 pmd 7437=faximum 7443=oracleas-https 7471=sttunnel
7473=rise neo4j 7478=openit 7491=telops-lmd 7500=silhouette ovbus 7508=adcp acplt ovhpas pafec-lm
7542=saratoga atul nta-ds nta-us cfs cwmp tidp nls-tl 7551=controlone-con 7560=sncp 7563=cfw
7566=vsi-omega 7569=dell-eql-asm aries-kfinder 7574=coherence 7588=sun-lm 7606=mipi-debug 7624=indi
7626=simco soap-http zen-pawn xdas hawk tesla-sys-msg 7633=pmdfmgt 7648=cuseeme 7663=rome 7672=imqstomp
imqstomps imqtunnels imqtunnel imqbrokerd sun-user-https 7680=ms-do 7683=dmt 7687=bolt 7689=collaber
sovd 7697=klio 7700=em7-secom 7707=sync-em7 scinet 7720=medimageportal 7724=nsdeepfreezectl nitrogen
freezexservice trident-data osvr 7734=smip 7738=aiagent 7741=scriptview msss sstp-1 raqmon-pdu 7747=prgp
7775=inetfs 7777=cbt interwise vstat 7781=accu-lmgr 7786=minivend popup-reminders 7789=office-tools
7794=q3ade 7797=pnet-conn pnet-enc altbsdp asr ssp-client 7810=rbt-wanopt 7845=apc-7845 apc-7846 csoauth
7869=mobileanalyzer rbt-smc mdm 7878=owms 7880=pss 7887=ubroker 7900=mevent tnos-sp tnos-dp tnos-dps
7913=qo-secure 7932=t2-drm t2-brm 7962=generalsync 7967=supercell 7979=micromuse-ncps quest-vista
sossd-collect sossd-agent 7997=pushns 7999=irdmi2 irdmi vcom-tunnel teradataordbms mcreport p2pevolvenet
mxi wpl-analytics warppipe http-alt nvme-disc 8015=cfg-cloud ads-s 8019=qbdb intu-ec-svcdisc
intu-ec-client oa-system arca-api 8025=ca-audit-da ca-audit-ds papachi-p2p-srv 8032=pro-ed mindprint
vantronix-mgmt 8040=ampify enguity-xccetp fs-agent fs-server fs-mgmt 8051=rocrail senomix01 senomix02
senomix03 senomix04 senomix05 senomix06 senomix07 senomix08 8066=toad-bi-appsrvr infi-async 8070=ucs-isc
8074=gadugadu 8077=mles 8080=http-alt sunproxyadmin us-cli us-srv websnp 8086=d-s-n simplifymedia
radan-http 8090=opsmessaging jamlink 8097=sac 8100=xprint-server ldoms-migr kz-migr 8115=mtl8000-matrix
cp-cluster purityrpc privoxy 8121=apollo-data apollo-admin 8128=paycash-online paycash-wbp indigo-vrmi
indigo-vbcp dbabble 8140=puppet 8148=isdd 8153=quantastor 8160=patrol patrol-snmp lpar2rrd
8181=intermapper vmware-fdm proremote itach 8190=gcp-rphy limnerpressure spytechphone 8194=blp1 blp2
8199=vvr-data trivnet1 trivnet2 8204=lm-perfworks lm-instmgr lm-dta lm-sserver lm-webwatcher 8230=rexecj
8243=synapse-nhttps 8270=robot-remote 8276=ms-mcc 8280=synapse-nhttp 8282=libelle 8292=blp3 hiperscan-id
blp4 8300=tmi amberon 8313=hub-open-net 8320=tnp-discover tnp garmin-marine 8351=server-find
8376=cruise-enum cruise-swroute cruise-config cruise-diags cruise-update 8383=m2mservices 8400=cvd
sabarsd abarsd admind svcloud svbackup 8415=dlpx-sp espeech espeech-rtp 8423=aritts 8432=pgbackrest
8442=cybro-a-bus pcsync-https pcsync-http copy 8450=npmp 8457=nexentamv 8470=cisco-avp pim-port otv vp2p
noteshare 8500=fmtp cmtp-mgt ftnmtp 8554=rtsp-alt d-fence 8567=dof-tunnel 8600=asterix 8610=canon-mfnp
canon-bjnp1 canon-bjnp2 canon-bjnp3 canon-bjnp4 imink 8665=monetra monetra-admin 8675=msi-cps-rm
8686=sun-as-jmxrmi 8688=openremote-ctrl 8699=vnyx 8710=semi-grpc nvc 8733=ibus 8750=dey-keyneg
8763=mc-appserver openqueue ultraseek-http amcs core-of-source sandpolis oktaauthenticat dpap 8778=uec
8786=msgclnt msgsrvr 8793=acd-pm 8800=sunwebadmin 8804=truecm 8873=dxspider 8880=cddbp-alt galaxy4d
8883=secure-mqtt 8888=ddi-tcp-1 ddi-tcp-2 ddi-tcp-3 ddi-tcp-4 ddi-tcp-5 ddi-tcp-6 ddi-tcp-7
8899=ospf-lite jmb-cds1 jmb-cds2 8908=dpp 8910=manyone-http manyone-xml wcbackup dragonfly 8937=twds
8953=ub-dns-control cumulus-admin 8980=nod-provider 8989=sunwebadmins http-wmap https-wmap
8997=oracle-ms-ens canto-roboflow bctp cslistener etlservicemgr dynamid 9005=golem 9008=ogs-server
pichat sdr 9020=tambora panagolin-ident paragent swa-1 swa-2 swa-3 swa-4 9050=versiera fio-cmgmt
9060=CardWeb-IO 9080=glrpc 9083=emc-pp-mgmtsvc aurora ibm-rsyscon net2display classic sqlexec
sqlexec-ssl websm xmltec-xmlmail XmlIpcRegSvc copycat 9100=hp-pdl-datastr bacula-dir bacula-fd bacula-sd
peerwire xadmin astergate astergatefax 9111=hexxorecore 9119=mxit 9122=grcmp grcp 9131=dddp 9160=apani1
apani2 apani3 apani4 apani5 9191=sun-as-jpda 9200=wap-wsp wap-wsp-wtp wap-wsp-s wap-wsp-wtp-s wap-vcard
wap-vcal wap-vcard-s wap-vcal-s rjcdb-vcards almobile-system oma-mlp oma-mlp-s serverviewdbms
serverstart ipdcesgbs insis acme fsc-port 9222=teamcoherence 9255=mon 9278=pegasus pegasus-ctl pgps
swtp-port1 swtp-port2 callwaveiam visd n2h2server 9287=cumulus 9292=armtechdaemon storview armcenterhttp
armcenterhttps 9300=vrace 9306=sphinxql 9310=sapms 9312=sphinxapi 9318=secure-ts 9321=guibase
9339=gnmi-gnoi gribi 9343=mpidcmgr mphlpdmc rancher ctechlicensing 9374=fjdmimgr 9380=boxp
9387=d2dconfig d2ddatatrans adws otp 9396=fjinvmgr mpidcagt 9400=sec-t4net-srv sec-t4net-clt
sec-pc2fax-srv 9418=git 9443=tungsten-https wso2esb-console mindarray-ca 9450=sntlkeyssrvr
9500=ismserver 9535=mngsuite laes-bf 9555=trispen-sra 9559=p4runtime 9592=ldgateway cba8 msgsys pds
mercury-disc pd-admin vscp robix micromuse-ncpw 9612=streamcomm-ds 9614=iadt-tls 9616=erunbook-agent
erunbook-server condor 9628=odbcpathway uniport peoctlr peocoll 9640=pqsflows 9666=zoomcp xmms2
tec5-sdctp 9694=client-wakeup ccnx 9700=board-roar 9747=l5nas-parchan 9750=board-voip 9753=rasadv
9762=tungsten-http 9800=davsrc sstp-2 davsrcs 9875=sapv1 sd x510 9888=cyborg-systems gt-proxy
9898=monkeycom 9900=iua 9909=domaintime 9911=sype-transport 9925=xybrid-cloud 9950=apc-9950 apc-9951
apc-9952 acis hinp alljoyn-stm 9966=odnsp 9978=xybrid-rt visweather 9981=pumpkindb 9987=dsm-scm-target
nsesrvr 9990=osm-appsrvr osm-oev palace-1 palace-2 palace-3 palace-4 palace-5 palace-6 distinct32
distinct ndmp scp-config documentum documentum-s emcrmirccd emcrmird netapp-sync mvs-capacity octopus
swdtp-sv rxapi 10020=abb-hw 10050=zabbix-agent zabbix-trapper 10055=qptlmd 10080=amanda famdc
10100=itap-ddtp ezmeeting-2 ezproxy-2 ezrelay swdtp 10107=bctp-server 10110=nmea-0183
10113=netiq-endpoint netiq-qcheck netiq-endpt netiq-voipa iqrm 10125=cimple 10128=bmc-perf-sd bmc-gms
10160=qb-db-server snmptls snmptls-trap 10200=trisoap rsms 10252=apollo-relay 10260=axis-wimp-port
tile-ml 10288=blocks 10321=cosir 10443=cirrossp 10540=MOS-lower MOS-upper MOS-aux MOS-soap MOS-soap-opt
10548=serverdocs 10631=printopia 10800=gap 10805=lpdg 10809=nbd 10860=helix 10880=bveapi
10933=octopustentacle 10990=rmiaux 11000=irisa metasys 11095=weave 11103=origo-sync netapp-icmgmt
netapp-icdata sgi-lk 11109=sgi-dmfmgr sgi-soap vce dicom 11161=suncacao-snmp suncacao-jmxmp suncacao-rmi
suncacao-csa suncacao-websvc 11172=oemcacao-jmxmp t5-straton oemcacao-rmi oemcacao-websvc 11201=smsqp
dcsl-backup 11208=wifree 11211=memcache 11235=xcompute 11319=imip imip-channels arena-server
11367=atm-uhas 11371=hkp 11489=asgcypresstcps 11600=tempest-port 11623=emc-xsw-dconfig
11720=h323callsigalt 11723=emc-xsw-dcache 11751=intrepid-ssl 11796=lanschool 11876=xoraya
11967=sysinfo-sp 11971=tibsd 12000=entextxid entextnetwk entexthigh entextmed entextlow dbisamserver1
dbisamserver2 accuracer accuracer-dbms 12010=edbsrvr 12012=vipera vipera-ssl 12109=rets-ssl
12121=nupaper-ss 12168=cawas 12172=hivep 12300=linogridengine 12302=rads 12321=warehouse-sss warehouse
12345=italk 12546=carb-repl-ctrl 12753=tsaf 12865=netperf 13160=i-zipqd 13216=bcslogc rs-pias
emc-vcas-tcp 13223=powwow-client powwow-server 13400=doip-data 13720=bprd bpdbm bpjava-msvc 13724=vnetd
13782=bpcd vopied 13785=nbdb nomdb 13818=dsmcc-config dsmcc-session dsmcc-passthru dsmcc-download
dsmcc-ccp bmdss 13832=a-trust-rpc 13894=ucontrol 13929=dta-systems medevolve 14000=scotty-ft sua
14033=sage-best-com1 sage-best-com2 14141=vcs-app icpp icpps 14145=gcm-app 14149=vrts-tdd vcscmd
14154=vad 14250=cps 14414=ca-web-update 14500=xpra 14936=hde-lcesrvr-1 hde-lcesrvr-2 15000=hydap
15002=onep-tls 15345=xpilot 15363=3link 15555=cisco-snat 15660=bex-xr 15740=ptp 15999=programmar fmsas
fmsascon gsms 16020=jwpc jwpc-bin 16161=sun-sea-port solaris-audit 16309=etb4j pduncs pdefmns
16360=netserialext1 netserialext2 16367=netserialext3 netserialext4 16384=connected rdgs 16619=xoms
16665=axon-tunnel 16789=cadsisvr 16900=newbay-snc-mc 16950=sgcip 16991=intel-rci-mp amt-soap-http
amt-soap-https amt-redir-tcp amt-redir-tls 17007=isode-dua 17010=ncpu 17184=vestasdlp soundsvirtual
17219=chipper avtp avdecc 17223=isa100-gci 17225=trdp-md 17234=integrius-stp ssh-mgmt 17500=db-lsp
17555=ailith 17729=ea 17754=zep zigbee-ip zigbee-ips 17777=sw-orion 18000=biimenu 18104=radpdf
18136=racf 18181=opsec-cvp opsec-ufp opsec-sam opsec-lea opsec-omi ohsc opsec-ela 18241=checkpoint-rtm
iclid clusterxl 18262=gv-pf 18463=ac-cluster 18634=rds-ib rds-ip 18668=vdmmesh 18769=ique 18881=infotos
18888=apc-necmp 19000=igrid 19007=scintilla 19020=j-link 19191=opsec-uaa 19194=ua-secureagent 19220=cora
19283=keysrvr 19315=keyshadow 19398=mtrgtrans 19410=hp-sco hp-sca hp-sessmon 19539=fxuptp sxuptp jcp
19790=faircom-db 19998=iec-104-sec dnp-sec dnp microsan commtact-http commtact-https 20005=openwebnet
20013=ss-idi opendeploy 20034=nburn-id 20046=tmophl7mts 20048=mountd nfsrdma 20057=avesterra
20167=tolfab 20202=ipdtp-port 20222=ipulse-ics 20480=emwavemsg 20670=track 20810=crtech-nlm
20999=athand-mmp irtrans 21010=notezilla-lan 21212=trinket-agent cohesity-agent 21221=aigairserver
21553=rdm-tfs dfserver 21590=vofr-gateway 21800=tvpm sal 21845=webphone netspeak-is netspeak-cs
netspeak-acd netspeak-cps 22000=snapenetio optocontrol optohost002 optohost003 optohost004 optohost004
22125=dcap 22128=gsidcap 22222=easyengine 22273=wnn6 22305=cis 22333=showcockpit-net
22335=shrewd-control 22343=cis-secure 22347=wibukey 22350=codemeter codemeter-cmwan
22537=caldsoft-backup 22555=vocaltec-wconf 22763=talikaserver 22800=aws-brf 22951=brf-gw
23000=inovaport1 inovaport2 inovaport3 inovaport4 inovaport5 inovaport6 23053=gntp 23294=5afe-dir
23333=elxmgmt 23400=novar-dbase novar-alarm novar-global 23456=aequus aequus-alt 23546=areaguard-neo
24000=med-ltp med-fsp-rx med-fsp-tx med-supp med-ovw med-ci med-net-svc 24242=filesphere 24249=vista-4gl
24321=ild 24323=vrmg-ip 24386=intel-rci 24465=tonidods 24554=binkp 24577=bilobit 24666=sdtvwcam
24676=canditv flashfiler proactivate 24680=tcc-http 24754=cslg 24922=find 25000=icl-twobase1
icl-twobase2 icl-twobase3 icl-twobase4 icl-twobase5 icl-twobase6 icl-twobase7 icl-twobase8 icl-twobase9
icl-twobase10 25576=sauterdongle 25604=idtp 25793=vocaltec-hos 25900=tasp-net niobserver nilinkanalyst
niprobe 26000=quake 26133=scscp 26208=wnn6-ds 26257=cockroach 26260=ezproxy ezmeeting k3software-svr
k3software-cli 26486=exoline-tcp exoconfig 26489=exonet 27010=flex-lmadmin 27017=mongodb 27345=imagepump
27442=jesmsjc 27504=kopek-httphead 27782=ars-vista 27876=astrolink 27999=tw-auth-key nxlmd pqsp
28010=gruber-cashreg 28080=thor-engine 28200=voxelstorm 28240=siemensgsm 28589=bosswave
29000=saltd-licensing 29167=otmp 29999=bingbang ndmps pago-services1 pago-services2 amicon-fpsu-ra
30100=rwp 30260=kingdomsonline 30400=gs-realtime 30999=ovobs 31016=ka-sddp 31020=autotrac-acp
31337=eldim 31400=pace-licensed 31416=xqosd 31457=tetrinet 31620=lm-mon 31685=dsx-monitor
31765=gamesmith-port 31948=iceedcp-tx iceedcp-rx 32034=iracinghelper 32249=t1distproc60 32400=plex
32483=apm-link 32635=sec-ntb-clnt DMExpress 32767=filenet-powsrm filenet-tms filenet-rpc filenet-nch
filenet-rmi filenet-pa filenet-cm filenet-re filenet-pch filenet-peior filenet-obrok 32801=mlsn
32811=retp 32896=idmgratm 33000=wg-endpt-comms 33060=mysqlx 33123=aurora-balaena 33331=diamondport
33333=dgi-serv speedtrace 33434=traceroute 33656=snip-slave 33890=digilent-adept 34249=turbonote-2
34378=p-net-local p-net-remote 34567=dhanalakshmi 34962=profinet-rt profinet-rtm profinet-cm
34980=ethercat 35000=heathview rt-viewer rt-sound rt-devicemapper rt-classmanager rt-labtracker
rt-helper 35100=axio-disc 35354=kitim altova-lm guttersnex openstack-id 36001=allpeers 36524=febooti-aw
36602=observium-agent 36700=mapx 36865=kastenxpipe 37475=neckar 37483=gdrive-sync 37601=eftp
37654=unisys-eportal 38000=ivs-database ivs-insertion cresco-control 38201=galaxy7-data fairview
agpolicy 38638=psqlmws 38800=sruth 38865=secrmmsafecopya 39063=vroa 39681=turbonote-1 40000=safetynetp
40404=sptx 40841=cscp csccredir csccfirewall 41111=fs-qos 41121=tentacle 41230=z-wave-s
41794=crestron-cip crestron-ctp crestron-cips crestron-ctps 42508=candp candrp caerpc 42999=curiosity
recvr-rc 43188=reachout ndm-agent-port ip-provision noit-transport 43210=shaperai 43439=eq3-update
ew-mgmt ciscocsdb 44123=z-wave-tunnel 44321=pmcd pmcdproxy pmwebapi 44444=cognex-dataman acronis-backup
44553=rbr-debug 44818=EtherNet-IP-2 44900=m3da 45000=asmp asmps rs-status 45045=synctest
45054=invision-ag 45514=cloudcheck 45678=eba 45824=dai-shell qdb2service 45966=ssr-servermgr 46336=inedo
46998=spremotetablet mediabox mbus winrm 47557=dbbrowse 47624=directplaysrvr 47806=ap 47808=bacnet
48000=nimcontroller nimspooler nimhub nimgtw nimbusdb nimbusdbctrl 48048=juka 3gpp-cbsp weandsf
48128=isnetserv blp5 48556=com-bardac-dw 48619=iqobject 48653=robotraconteur 49000=matahari nusrp
49150=inspider
`,
  unset: `

`,
};

/** UDP, 1.19, as differences from TCP. */
export const UDP_PORT_NAMES: PortNameSource = {
  set: `
113=auth 270=gist 456=macon-udp 465=igmpv3lite 474=tn-tl-w2 512=comsat who syslog 520=router
623=asf-rmcp 664=asf-secure-rmcp 716=pana 750=loadav 773=notify acmaint-dbd acmaint-transd
861=owamp-test twamp-test 914=rift-lies rift-ties 998=puparp applix 1027=6a44 1110=nfsd-keepalive
1182=accelenet-data 1549=shivasound 1580=tn-tl-r2 1596=radio-bc 1676=netcomm2 2001=wizard 2004=emce
oracle raid-cd raid-am terminaldb whosockami pipe-server servserv raid-ac raid-cd raid-sf raid-cs
2017=bootclient rellpack about 2021=xinuexpansion1 xinuexpansion2 2025=xribs 2187=ssmd 2378=dali
2384=sd-capacity 2802=veritas-udp1 3010=ping-pong 3104=autocuetime 3386=gprs-sig 3487=ltcudp
3519=galileo 3574=dmaf-caster 3863=asap-udp 4077=ascomalarm 4084=fortisphere-vm 4086=ftsync
4169=iadt-disc 4173=mma-discovery sm-disc 4191=dsmipv6 azeti-bd 4325=geognosisman 4341=lisp-data
lisp-control 4361=nacnl afore-vdp-disc 4366=shadowstream 4371=l2c-disc 4394=apwi-disc 4412=smallchat
avi-nms-disc 4416=pjj-player-disc 4418=axysbridge 4441=netblox 4534=armagetronad 4557=mtcevrunqss
mtcevrunqman 4592=hrpd-ith-at-an 4621=ventoso 4726=a26-fap-fgw fcis-disc 4729=gsmtap 4732=ohmtrigger
4742=sicct-sdp 4746=intelliadm-disc buschtrommel 4753=simon-disc gre-in-udp gre-udp-dtls 4785=cncp
4789=vxlan vxlan-gpe roce 4803=notateit-disc aja-ntv4-disc 4840=opcua-udp 4878=inst-discovery
4881=socp-t socp-c 4936=an-signaling atsc-mh-ssc 4980=ctxs-vpp 5014=onpsocket 5031=dmp 5046=vpm-udp
iscape 5053=rlm-disc 5058=locus-disc 5078=pixelpusher cp-spxrpts 5092=magpie 5101=talarian-udp
5104=tinymessage hughes-ap 5116=emb-proj-cmd 5136=minotaur-sa 5164=vpa-disc 5245=downtools-disc
capwap-control capwap-data 5271=cuelink-disc 5350=pcp-multicast pcp 5364=kdnet 5436=pmip6-cntl
pmip6-data 5450=tiepie-disc 5474=apsolab-rpc 5569=rdmnet-device 5670=zre-disc 5682=brightcore
5687=gog-multiplayer 5728=io-dist-group 5784=ibar 5786=cisco-redu waascluster 5794=spdp 6080=gue geneve
p25cai miami-bcast 6088=doglms-notify 6118=tipc 6160=ecmp-data 6201=thermo-calc 6241=jeol-nsddp-1
jeol-nsddp-2 jeol-nsddp-3 jeol-nsddp-4 6315=scup-disc 6317=nav-data 6324=hrd-ns-disc 6363=ndn
6419=svdrp-disc 6511=dccp-udp 6568=rp-reputation 6633=cisco-vpath-tun mpls-pm mpls-udp mpls-udp-dtls
6657=palcom-disc 6678=vfbp-disc 6696=babel 6699=babel-dtls 6784=bfd-lag 6868=acctopus-st 6980=qolyester
7019=doceri-view 7040=quest-disc 7072=iba-cfg-disc 7088=zixi-transport 7095=jdp-disc 7107=aes-x170
7181=janus-disc 7235=aspcoordination 7244=frc-hicp-disc 7282=mzca-alert 7420=ipluminary
7550=cloudsignaling 7574=coherence-disc 7784=s-bfd 7802=vns-tp 7872=mipv6tls 7982=sossd-disc
7998=usicontentpush 8006=wpl-disc 8017=cisco-cloudsec 8060=aero 8111=skynetflow 8149=eor-game 8202=aesop
8211=aruba-papi 8231=hncp-udp-port hncp-dtls-port 8266=espeasy-p2p 8282=libelle-disc 8384=marathontp
8433=aws-as2 8445=copy-disc 8501=cmtp-av 8503=lsp-self-ping 8609=canon-cpp-disc 8675=msi-cps-rm-disc
8732=dtp-net 8805=pfcp 8807=hes-clip ssports-bcast 3gpp-monp 8888=ddi-udp-1 ddi-udp-2 ddi-udp-3
ddi-udp-4 ddi-udp-5 ddi-udp-6 ddi-udp-7 8981=nod-client 9007=ogs-client 9011=d-star 9060=CardWeb-RT
9081=cisco-aqos 9106=astergate-disc 9277=traingpsdata 9286=n2receive 9522=sma-spw 9632=mc-comm
9878=kca-service 9899=sctp-tunneling 9901=enrp 9903=multicast-ping 9955=alljoyn-mcm alljoyn
10023=cefd-vmp 10111=nmea-onenet 10161=snmpdtls snmpdtls-trap 10201=rscs 10253=eapol-relay 10439=bngsync
10500=hip-nat-t 10810=nmc-disc 11108=myq-termlink 11171=snss 11430=lsdp 11796=lanschool-mpt
11877=x2e-disc 12009=ghvpn 13218=emc-vcas-udp 13400=doip-disc 14002=scotty-disc 15118=v2g-secc
15998=2ping 16003=alfin 16666=vtp 17222=cpsp 17224=trdp-pd 17500=db-lsp-disc 18516=heythings
18668=vdmmesh-disc 19220=cora-disc 19788=mle 20012=ss-idi-disc 22335=shrewd-stream 22555=vocaltec-phone
23272=s102 23294=5afe-disc 24322=hid 24577=bilobit-update 24850=assoc-disc 25954=bf-game bf-master
26486=exoline-udp 28119=a27-ran-ran 30004=amicon-fpsu-s 30832=samsung-disc 31016=ka-kdp 31029=yawn
33334=speedtrace-disc 33435=mtrace 34567=edi_service 35355=altova-lm-disc 36411=wlcp
38002=crescoctrl-disc 40023=k-patentssensor 40853=ortec-disc 43000=recvr-rc-disc 43210=shaperai-disc
43438=hmip-routing eq3-config ew-disc-cmd 44544=domiq 44600=asihpi 44900=m3da-disc 45000=asmp-mon
45514=cloudcheck-ping 47100=jvl-mactalk 47809=presonus-ucnet 49001=nusdp-disc
`,
  unset: `
143 271 323-324 953 993 1001 1407 1753 1775 2188-2189 2225 2371 2373-2377 2379-2380 2408 2855 2905 3001
3071 3121 3300 3565-3566 3693 3737 3766 3841 3864 3868 4078 4085 4087-4088 4120 4170-4171 4175-4176
4186-4187 4189-4190 4193-4194 4311-4314 4316-4317 4329-4332 4334-4336 4360 4374 4391-4393 4396 4407-4411
4414-4415 4417 4419 4421-4423 4427-4429 4431 4433 4460 4485 4487 4553 4563 4570 4573 4590 4602-4606
4703-4704 4731 4733 4756 4774 4786-4788 4879-4880 4883 4888-4889 4901-4902 4912-4913 4915 4953 4971
4984-4985 5015 5028 5032-5034 5045 5048 5054 5063 5068 5075 5086-5087 5103 5106-5107 5114-5115 5117
5134-5135 5146 5156-5157 5161-5163 5172 5194-5197 5209 5215 5221-5222 5228-5233 5242-5243 5253-5254 5269
5280-5281 5316-5318 5320-5321 5445 5470-5473 5475 5507 5550 5557 5565-5566 5574-5575 5579 5586 5618
5635-5639 5646 5666 5693 5696 5700 5705 5725-5727 5780 5798 5820 5841-5842 5868 5883 5993-5994 6068
6075-6077 6084 6099 6113-6117 6121 6130 6159 6267 6325-6326 6344 6379 6418 6432 6440 6442 6513 6556
6600-6602 6624-6625 6632 6640 6655-6656 6687-6688 6690 6697 6716 6777-6778 6789 6817 6900-6901 6970 7018
7026 7031 7073 7117 7123 7167-7168 7172-7173 7202 7215-7216 7228-7229 7234 7236-7237 7283 7471 7474 7478
7508-7509 7551 7563 7569 7626 7630-7631 7672-7673 7683 7687 7690 7700 7742 7775 7847 7869-7871 7878 7981
7997 8004 8009 8015-8016 8042-8044 8051 8066-8067 8070 8077 8084 8090-8091 8101-8102 8117 8140 8153 8162
8181 8183 8190-8191 8270 8293 8313 8404-8405 8415 8423 8432 8457 8470-8471 8502 8615 8665-8666 8688 8699
8710-8711 8750 8767-8769 8778 8881 8908 8937 8953 8997-8998 9005 9008 9010 9050-9051 9083 9093 9107
9122-9123 9306 9310 9312 9339-9340 9345 9387-9390 9445 9559 9614 9616-9617 9630-9631 9640 9666 9876-9877
9925 9954 9978-9979 9981 9988 10004-10006 10010 10020 10055 10125 10129 10261 10321 10443 10548 10631
10809 10933 11103-11105 11109-11110 11172-11175 11202 11235 11489 11623 11971 12010 12302 12546 12865
13823 13832 13930 14143 14150 14500 15002 15999-16002 16020-16021 16162 16385 16619 16665 16789 17010
17184 17223 17555 17777 18104 18136 18242-18243 19020 19790 19998 20013 20057 20810 21010 21212-21213
21221 21553 21801 22125 22128 22222 22351 22537 23053 23456-23457 23546 24323 24666 24754 25576 25604
26257 27010 27017 27876 28001 28010 28080 28589 29000 29999-30000 30100 30400 31020 31400 31685 32400
32811 33000 33060 33333 33890 35000 35002-35003 35005-35006 35354 35356-35357 36524 36602 36700 37483
37601 38000-38001 38638 38800 38865 39063 40404 41121 41796-41797 42999 43191 44123 44323 44444-44445
45001-45002 45045 45824 46336 46998 47001 48004-48005 48048-48050 49000 49150
`,
};

/** SCTP, 1.19. */
export const SCTP_PORT_NAMES: PortNameSource = {
  set: `
9=discard 20=ftp-data ftp ssh 80=http 179=bgp 443=https 1021=exp1 exp2 1167=cisco-ipsla 1528=norp
1720=h323hostcall 2049=nfs 2225=rcip-itu 2904=m2ua m3ua 2944=megaco-h248 h248-binary 3097=itu-bicc-stc
3565=m2pa 3863=asap-sctp asap-sctp-tls 3868=diameter 4195=aws-wsp 4333=ahsp 4502=a25-fap-fgw
4711=trinity-dist 4739=ipfix ipfixs 5060=sip sips 5090=car cxtp 5215=noteza 5445=smbdirect 5672=amqp
5675=v5ua 5868=diameters 5903=ff-ice ag-swim asmgcs rpas-c2 dsd ipsma agma cm cpdlc fis ads-c
6704=frc-hp frc-mp frc-lp 6970=conductor-mpx 7626=simco 7701=nfapi 7728=osvr 8471=pim-port 9082=lcs-ap
9084=aurora 9900=iua enrp-sctp enrp-sctp-tls 11235=xcompute 11997=wmereceiving wmedistribution
wmereporting 14001=sua 19999=dnp-sec dnp 20049=nfsrdma 25471=rna 29118=sgsap 29168=sbcap iuhsctpassoc
30100=rwp 36412=s1-control 36422=x2-control slmap nq-ap 36443=m2ap m3ap 36462=xw-control 37472=3gpp-w1ap
38412=ng-control 38422=xn-control 38462=e1-interface 38472=f1-control
`,
  unset: `

`,
};

/** TCP, 1.11, as differences from 1.19. */
export const TCP_PORT_NAMES_1_11: PortNameSource = {
  set: `
1301=ci3-software-1 ci3-software-2 2114=newheights 2200=ici 2371=hp-rda 2459=community
2864=astromed-main 3612=hp-dataprotect 3974=citysearch 3980=acms 4325=geognosisman 4341=lisp-data
lisp-cons 4420=nvm-express 5030=surfpass 5153=toruxserver 5565=hpe-dp-bura 5777=dali-port 5910=cm cpdlc
fis ads-c 7680=pando-pub 8276=pando-sec
`,
  unset: `
1528 2259 2369 2873 3301 4194-4195 4317 4319 4332 4460 4606 4646 4792 4888-4889 5242-5243 5540 5683-5684
5798 5820 5903-5909 5994 6440 6556 6924 7026 7072 7123 7234 7663 7690 8004 8009 8015-8016 8023 8027 8084
8432 8710 8767-8769 8908 9111 9310 9339-9340 9559 9877 10443 11235 11971 12546 13832 17010 19790 20810
21212-21213 21801 22333 24323 27010 27017 28010 28080 29000 31337 33000 33890 38638 39063 42999 44445
48048 49150
`,
};

/** UDP, 1.11, as differences from 1.19. */
export const UDP_PORT_NAMES_1_11: PortNameSource = {
  set: `
143=imap 861=owamp-control twamp-control 993=imaps 1301=ci3-software-1 ci3-software-2 1528=ngr-t
2114=newheights 2200=ici 2459=community 2864=astromed-main 3612=hp-dataprotect 3974=citysearch 3980=acms
4420=nvm-express 5030=surfpass 5777=dali-port 5910=cm cpdlc fis ads-c 7680=pando-pub 8276=pando-sec
`,
  unset: `
914-915 2259 2369 2378 2873 3301 4195 4319 4646 4792 5540 5903-5909 6699 6924 6980 7072 7420 7663 8017
8023 8027 8111 8211 8266 8433 8807 8809 9011 9081 9111 18516 22333 31337 33435 43438
`,
};

/** SCTP, 1.11, as differences from 1.19. */
export const SCTP_PORT_NAMES_1_11: PortNameSource = {
  set: `

`,
  unset: `
1528 4195 5903-5909 11235 19999-20000 37472 38462
`,
};
