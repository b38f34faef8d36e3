export class IpVs {}
