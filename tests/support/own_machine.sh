#!/bin/bash
# Hold a machine: a root tree with a network, processes, mounts, cgroups and names of its own.
# All of it ends with this process, and this process with the one that started it.
#
#   own_machine.sh NAME ROOT STATE REPOSITORY NETWORK
#
# NAME is also that of its cgroups, which it leaves, as it does STATE. It prints "ready". Of ROOT /
# it changes nothing: /run is empty there, and what is written to the repository or to
# /var/lib/twinstack goes to STATE; the software below that is the host's, read-only. NETWORK is
# "own", or "shared" to reach the mirrors of packages.
set -euo pipefail
name=$1 root=$2 state=$3 repository=$4 network=$5

hierarchies() { # path, version and controllers of each
    awk '{ for (i = 7; $i != "-"; i++); n = split($NF, options, ","); controllers = ""
        for (o = 1; o <= n; o++) if (options[o] !~ /^(rw|ro)$/) controllers = controllers "," options[o]
        if ($(i + 1) ~ /^cgroup2?$/) print $5, $(i + 1), substr(controllers, 2) }' /proc/self/mountinfo
}

if [ "${6-}" != inside ]; then
    # Its own cgroup is the root that its cgroup namespace shows.
    while read -r path kind _; do
        mkdir "$path/$name"
        for file in cpuset.cpus cpuset.mems; do # version 1 takes no process before these are set
            [ "$kind" = cgroup2 ] || [ ! -e "$path/$file" ] || cat "$path/$file" >"$path/$name/$file"
        done
        echo $$ >"$path/$name/cgroup.procs"
    done < <(hierarchies)
    own=(--mount --propagation private --pid --ipc --uts --cgroup --fork --kill-child)
    [ "$network" = shared ] || own+=(--net)
    exec unshare "${own[@]}" "$0" "$@" inside
fi

mapfile -t cgroups < <(hierarchies)
hostname "$name"
if [ "$root" = / ]; then
    cut -d' ' -f5 /proc/self/mountinfo | grep -E '^/(run|var/lib/twinstack)(/|$)' | tac |
        while read -r inherited; do umount --lazy "$inherited" || :; done
    mkdir -p "$state"/lib/another # another instance: so `clean` spares the software
    for shared in /var/lib/twinstack/{roots,software}/*; do
        [ -d "$shared" ] || continue
        own=$state/lib/${shared#/var/lib/twinstack/}
        mkdir -p "$own"
        mount --bind "$shared" "$own"
        mount -o remount,bind,ro "$own"
    done
    mount --rbind "$state/lib" /var/lib/twinstack
    mkdir "$state"/{upper,work}
    mount -t overlay overlay "$repository" \
        -o "lowerdir=$repository,upperdir=$state/upper,workdir=$state/work"
    mount -t proc proc /proc
    umount --recursive --lazy /sys # its cgroups are beyond our root
else
    mount --bind "$root" "$root"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    cd "$root"
    mkdir -p .host
    pivot_root . .host
    umount --lazy /.host
    rmdir /.host
fi
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
# A command that enters is still in its caller's cgroups: it moves itself first.
printf '#!/bin/sh\nset -e\n' >/run/enter
for hierarchy in "${cgroups[@]}"; do
    read -r path kind controllers <<<"$hierarchy"
    mkdir -p "$path"
    mount -t "$kind" ${controllers:+-o "$controllers"} "$kind" "$path"
    init=$path
    # Version 2 gives no controllers to the children of a cgroup that holds processes.
    if [ "$kind" = cgroup2 ]; then init=$path/init && mkdir "$init" && echo $$ >"$init/cgroup.procs"; fi
    echo "echo \$\$ >$init/cgroup.procs" >>/run/enter
done
printf 'cd "$1"\nshift\nexec "$@"\n' >>/run/enter
chmod 755 /run/enter
if [ "$network" = own ]; then
    ip link set lo up
    ip link add uplink type veth peer name isp
    ip link set isp addrgenmode none up
    ip address add 203.0.113.1/24 dev uplink
    ip link set uplink addrgenmode none up
    ip route add default via 203.0.113.10
    iptables-save >/dev/null
    sysctl -qw net.ipv4.ip_local_port_range="1024 65000" net.ipv4.ip_forward=0
fi
echo ready
exec sleep infinity
