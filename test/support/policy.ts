/** Shell: has no policy-rc.d, which containers' images have, and a directory of its own for one. Needs an own /run. */
export const OWN_POLICY = [
  "mkdir /run/sbin /run/sbin-work",
  "mount -t overlay overlay -o lowerdir=/usr/sbin,upperdir=/run/sbin,workdir=/run/sbin-work /usr/sbin",
  "rm -f /usr/sbin/policy-rc.d",
].join("\n");
