/* The floor: what the kernel itself takes to make and remove the network of a namespace world.
 *
 *     floor up SPEC RULES      make what SPEC says; RULES is the input of one iptables-restore
 *     floor down SPEC RULES    remove it again
 *
 * It does what `net.up` and `net.down` do to the kernel, with the fewest system calls that we know
 * of, and nothing else: it looks at nothing, keeps no journal, repairs nothing. So whatever a real
 * tool takes beyond this time is its own. The clock starts after SPEC is read; times are printed as
 * one JSON object, in milliseconds: all of it, of the processors, and by what it was spent on.
 *
 * SPEC is lines of words:
 *     world MARK MTU GROUP                        comes first
 *     held PATH UP DOWN                           a switch: its value while up, and afterwards
 *     bridge NAME ADDRESS/LENGTH FILTERED(0|1)    FILTERED: its frames pass iptables
 *     switch PATH VALUE                           a switch that goes with its bridge
 *     inside NAME VALUE                           a switch in every namespace, by its name under
 *                                                 /proc/sys/net
 *     namespace NAME HOST_END LINK BRIDGE ADDRESS/LENGTH GATEWAY HAIRPIN(0|1)
 *
 * How it is fast, in the order of what it saves:
 *   - no process for a command: starting `ip` takes longer than what it then asks for;
 *   - unshare(2) in this one process, again and again: its netlink socket for the host stays in the
 *     host's namespace, since a socket belongs to the namespace that it was opened in;
 *   - the veth's peer is made inside its namespace (VETH_INFO_PEER with IFLA_NET_NS_FD): moving it
 *     there later waits for an RCU grace period;
 *   - several messages in one send, an acknowledgement for the last alone (errors always come);
 *   - one receive and transmit queue a veth: the default is one for each CPU, with its directory
 *     in sysfs;
 *   - switches inside are written through a procfs instance of our own, changed every few
 *     namespaces: in /proc the directories `net` of all namespaces share one hash chain, so that
 *     each look-up would cost O(N);
 *   - one RTM_DELLINK by IFLA_GROUP for all links: one by one each waits for a grace period;
 *   - the rules go meanwhile: nf_tables mostly waits for grace periods of its own;
 *   - switches that take the kernel's network lock are put back before namespaces begin to die;
 *   - pins go with the mount that they were made in: one by one each would wait, too.
 *
 * Source: netlink(7), rtnetlink(7), veth(4), network_namespaces(7), ip-netns(8).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PINS "/run/netns"
#define MOST 4096
#define SHARE_PROC 50 /* namespaces */

/* ---- SPEC ---------------------------------------------------------------------------------- */

struct bridge { char name[IFNAMSIZ], address[20]; int filtered; };
struct knob { char path[160], up[32], down[32]; };
struct place {
    char name[64], host_end[IFNAMSIZ], link[IFNAMSIZ], bridge[IFNAMSIZ], address[20], gateway[16];
    int hairpin;
};

static struct { char mark[64]; int mtu; unsigned group; } world;
static struct bridge bridges[64];
static struct knob held[16], of_bridges[64], inside[16];
static struct place places[MOST];
static int n_bridges, n_held, n_of_bridges, n_inside, n_places;

/* ---- time and errors ----------------------------------------------------------------------- */

enum { SWITCHES, BRIDGES, RULES, UNSHARE, INSIDE, PINNING, PAIRS, LINKS, PHASES };
static const char *const phase_names[PHASES] = {
    "switches", "bridges", "rules", "unshare", "inside", "pins", "pairs", "links"};
static double spent[PHASES];

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* What this process and those that it waited for have used of the processors. */
static double cpu_ms(void)
{
    double found = 0;
    for (int i = 0; i < 2; i++) {
        struct rusage used;
        getrusage(i ? RUSAGE_CHILDREN : RUSAGE_SELF, &used);
        found += (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3;
        found += (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3;
    }
    return found;
}

/* Charge what has passed since the last call to one phase. */
static void charge(int phase)
{
    static double last;
    double now = now_ms();
    if (phase >= 0)
        spent[phase] += now - last;
    last = now;
}

static void die(const char *format, ...)
{
    int code = errno;
    va_list words;
    va_start(words, format);
    fputs("floor: ", stderr);
    vfprintf(stderr, format, words);
    fprintf(stderr, ": %s\n", strerror(code));
    exit(1);
}

static void write_switch(int directory, const char *path, const char *value)
{
    int file = openat(directory, path, O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, value, strlen(value)) < 0)
        die("%s", path);
    close(file);
}

/* Give the directory of the switches of the namespace we are in. Source: fsopen(2) (Linux 5.8). */
static int open_switches(void)
{
    static int proc = -1, uses;
    if (uses++ % SHARE_PROC == 0) {
        int context = syscall(SYS_fsopen, "proc", 1 /* FSOPEN_CLOEXEC */);
        close(proc);
        if (context < 0 || syscall(SYS_fsconfig, context, 6 /* CMD_CREATE */, NULL, NULL, 0)
            || (proc = syscall(SYS_fsmount, context, 1 /* FSMOUNT_CLOEXEC */, 0)) < 0)
            die("procfs");
        close(context);
    }
    int found = openat(proc, "sys/net", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (found < 0)
        die("/proc/sys/net");
    return found;
}

/* ---- netlink: messages are built one after another in one buffer, then sent at once ---------- */

static char buffer[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
static size_t filled;
static struct nlmsghdr *message; /* the one being built */

static void *append(size_t size)
{
    void *there = buffer + filled;
    if (filled + NLMSG_ALIGN(size) > sizeof buffer)
        errno = ENOBUFS, die("buffer");
    memset(there, 0, NLMSG_ALIGN(size));
    filled += NLMSG_ALIGN(size);
    message->nlmsg_len = filled - ((char *)message - buffer);
    return there;
}

static void *begin(int type, int flags, size_t body)
{
    message = (struct nlmsghdr *)(buffer + filled);
    struct nlmsghdr *head = append(sizeof *head);
    head->nlmsg_type = type;
    head->nlmsg_flags = NLM_F_REQUEST | flags;
    return append(body);
}

static struct rtattr *attribute(int type, const void *data, size_t size)
{
    struct rtattr *head = append(sizeof *head);
    head->rta_type = type;
    head->rta_len = RTA_LENGTH(size);
    if (size)
        memcpy(append(size), data, size);
    return head;
}

static void text(int type, const char *value) { attribute(type, value, strlen(value) + 1); }
static void number(int type, unsigned value) { attribute(type, &value, sizeof value); }
static struct rtattr *nest(int type) { return attribute(type | NLA_F_NESTED, NULL, 0); }
static void close_nest(struct rtattr *head) { head->rta_len = buffer + filled - (char *)head; }

static struct ifinfomsg *link_message(int type, int flags, const char *name, int up)
{
    struct ifinfomsg *body = begin(type, flags, sizeof *body);
    if (up)
        body->ifi_flags = body->ifi_change = IFF_UP;
    if (name)
        text(IFLA_IFNAME, name); /* the kernel finds a link by its name when it has no index */
    return body;
}

/* No IPv6 address by itself. Said in the message, as the switch in /proc would cost O(N) each. */
static void no_ipv6_address(void)
{
    unsigned char none = IN6_ADDR_GEN_MODE_NONE;
    struct rtattr *families = nest(IFLA_AF_SPEC), *inet6 = nest(AF_INET6);
    attribute(IFLA_INET6_ADDR_GEN_MODE, &none, sizeof none);
    close_nest(inet6);
    close_nest(families);
}

static void address_message(int index, const char *written)
{
    char host[20];
    int length;
    struct in_addr address;
    if (sscanf(written, "%19[^/]/%d", host, &length) != 2 || !inet_aton(host, &address))
        errno = EINVAL, die("address %s", written);
    struct ifaddrmsg *body = begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof *body);
    body->ifa_family = AF_INET;
    body->ifa_prefixlen = length;
    body->ifa_index = index;
    attribute(IFA_LOCAL, &address, sizeof address);
    attribute(IFA_ADDRESS, &address, sizeof address);
}

static void default_route_message(int index, const char *gateway)
{
    struct in_addr address;
    inet_aton(gateway, &address);
    struct rtmsg *body = begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof *body);
    body->rtm_family = AF_INET;
    body->rtm_table = RT_TABLE_MAIN;
    body->rtm_protocol = RTPROT_STATIC;
    body->rtm_scope = RT_SCOPE_UNIVERSE;
    body->rtm_type = RTN_UNICAST;
    attribute(RTA_GATEWAY, &address, sizeof address);
    number(RTA_OIF, index);
}

/* Send what was built, and wait for the answer to its last message. An error comes for any. */
static void send_all(int socket, const char *what)
{
    char answer[16384];
    message->nlmsg_flags |= NLM_F_ACK;
    if (send(socket, buffer, filled, 0) < 0)
        die("%s: send", what);
    ssize_t got = recv(socket, answer, sizeof answer, 0);
    filled = 0;
    struct nlmsghdr *head = (struct nlmsghdr *)answer;
    if (got < 0 || !NLMSG_OK(head, got) || head->nlmsg_type != NLMSG_ERROR)
        die("%s: answer", what);
    errno = -((struct nlmsgerr *)NLMSG_DATA(head))->error;
    if (errno)
        die("%s", what);
}

static int open_netlink(void)
{
    int found = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (found < 0)
        die("netlink");
    return found;
}

static int index_of(int socket, const char *name)
{
    struct ifreq asked = {0};
    strcpy(asked.ifr_name, name);
    if (ioctl(socket, SIOCGIFINDEX, &asked)) /* any socket answers for its own namespace */
        die("%s", name);
    return asked.ifr_ifindex;
}

/* ---- up ------------------------------------------------------------------------------------ */

static void make_bridge(int host, const struct bridge *one)
{
    unsigned char off = 0, filtered = one->filtered;
    link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, one->name, 0);
    number(IFLA_MTU, world.mtu);
    number(IFLA_GROUP, world.group);
    struct rtattr *info = nest(IFLA_LINKINFO);
    text(IFLA_INFO_KIND, "bridge");
    struct rtattr *data = nest(IFLA_INFO_DATA);
    number(IFLA_BR_STP_STATE, 0);
    attribute(IFLA_BR_MCAST_SNOOPING, &off, sizeof off);
    attribute(IFLA_BR_NF_CALL_IPTABLES, &filtered, sizeof filtered);
    close_nest(data);
    close_nest(info);
    link_message(RTM_SETLINK, 0, one->name, 0);
    no_ipv6_address();
    link_message(RTM_SETLINK, 0, one->name, 1);
    text(IFLA_IFALIAS, world.mark);
    send_all(host, one->name);
    address_message(index_of(host, one->name), one->address);
    send_all(host, one->name);
}

/* The pair, with its peer in the namespace behind `netns`; then the host's end as it is to be. */
static void make_pair(int host, const struct place *one, int bridge, int netns)
{
    struct ifinfomsg peer_head = {0};
    link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, one->host_end, 0);
    number(IFLA_MTU, world.mtu);
    number(IFLA_GROUP, world.group);
    number(IFLA_NUM_TX_QUEUES, 1);
    number(IFLA_NUM_RX_QUEUES, 1);
    struct rtattr *info = nest(IFLA_LINKINFO);
    text(IFLA_INFO_KIND, "veth");
    struct rtattr *data = nest(IFLA_INFO_DATA);
    struct rtattr *peer = attribute(VETH_INFO_PEER | NLA_F_NESTED, &peer_head, sizeof peer_head);
    text(IFLA_IFNAME, one->link);
    number(IFLA_MTU, world.mtu);
    number(IFLA_NUM_TX_QUEUES, 1);
    number(IFLA_NUM_RX_QUEUES, 1);
    number(IFLA_NET_NS_FD, netns);
    close_nest(peer);
    close_nest(data);
    close_nest(info);
    link_message(RTM_SETLINK, 0, one->host_end, 0);
    no_ipv6_address();
    link_message(RTM_SETLINK, 0, one->host_end, 1);
    text(IFLA_IFALIAS, world.mark);
    number(IFLA_MASTER, bridge);
    if (one->hairpin) { /* asks for the index, so the link must be there: the only second send */
        unsigned char on = 1;
        send_all(host, one->host_end);
        struct ifinfomsg *port = link_message(RTM_SETLINK, 0, NULL, 0);
        port->ifi_family = AF_BRIDGE;
        port->ifi_index = index_of(host, one->host_end);
        struct rtattr *of_port = nest(IFLA_PROTINFO);
        attribute(IFLA_BRPORT_MODE, &on, sizeof on);
        close_nest(of_port);
    }
    send_all(host, one->host_end);
}

static const char *pin_of(const struct place *one)
{
    static char path[128];
    snprintf(path, sizeof path, PINS "/%.63s", one->name);
    return path;
}

static void make_namespace(int host, const struct place *one, int bridge)
{
    const char *pin = pin_of(one);
    if (unshare(CLONE_NEWNET))
        die("unshare");
    charge(UNSHARE);

    /* Marked before it is pinned: whatever can be seen under /run/netns says whose it is. */
    int own = open_netlink();
    struct ifinfomsg *lo = link_message(RTM_SETLINK, 0, NULL, 1);
    lo->ifi_index = 1;
    text(IFLA_IFALIAS, world.mark);
    send_all(own, "lo");
    charge(INSIDE);
    int switches = open_switches();
    for (int i = 0; i < n_inside; i++)
        write_switch(switches, inside[i].path, inside[i].up);
    close(switches);
    charge(SWITCHES);

    int file = open(pin, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (file < 0 || close(file) || mount("/proc/thread-self/ns/net", pin, "none", MS_BIND, NULL))
        die("%s", pin);
    int netns = open(pin, O_RDONLY | O_CLOEXEC);
    charge(PINNING);

    make_pair(host, one, bridge, netns);
    close(netns);
    charge(PAIRS);

    int index = index_of(own, one->link);
    struct ifinfomsg *link = link_message(RTM_SETLINK, 0, NULL, 0);
    link->ifi_index = index;
    no_ipv6_address();
    link = link_message(RTM_SETLINK, 0, NULL, 1);
    link->ifi_index = index;
    address_message(index, one->address);
    default_route_message(index, one->gateway);
    send_all(own, one->link);
    close(own);
    charge(INSIDE);
}

/* ---- rules: the same program with the same text as ours, so both pay for it alike ------------ */

static pid_t begin_restore(const char *rules)
{
    pid_t child = vfork();
    if (child == 0) {
        int file = open(rules, O_RDONLY);
        if (file >= 0 && dup2(file, 0) == 0)
            execlp("iptables-restore", "iptables-restore", "--noflush", "--wait", "5", NULL);
        _exit(127);
    }
    return child;
}

static void end_restore(pid_t child)
{
    int status;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status)
        die("iptables-restore");
}

static void up(const char *rules)
{
    int host = open_netlink();
    charge(-1);
    for (int i = 0; i < n_held; i++)
        write_switch(AT_FDCWD, held[i].path, held[i].up);
    charge(SWITCHES);
    for (int i = 0; i < n_bridges; i++)
        make_bridge(host, &bridges[i]);
    charge(BRIDGES);
    for (int i = 0; i < n_of_bridges; i++)
        write_switch(AT_FDCWD, of_bridges[i].path, of_bridges[i].up);
    charge(SWITCHES);
    end_restore(begin_restore(rules));
    charge(RULES);
    if (mkdir(PINS, 0755) && errno != EEXIST)
        die(PINS);
    /* What `ip netns add` does first: pins made later are then seen in every mount namespace. */
    if (mount(PINS, PINS, "none", MS_BIND | MS_REC, NULL)
        || mount("", PINS, "none", MS_SHARED | MS_REC, NULL))
        die(PINS);
    charge(PINNING);
    for (int i = 0; i < n_places; i++)
        make_namespace(host, &places[i], index_of(host, places[i].bridge));
}

/* ---- down ---------------------------------------------------------------------------------- */

static void down(const char *rules)
{
    int host = open_netlink();
    charge(-1);
    pid_t restoring = begin_restore(rules);
    charge(RULES);
    begin(RTM_DELLINK, 0, sizeof(struct ifinfomsg));
    number(IFLA_GROUP, world.group);
    send_all(host, "links");
    charge(LINKS);
    for (int i = 0; i < n_held; i++)
        write_switch(AT_FDCWD, held[i].path, held[i].down);
    charge(SWITCHES);
    if (umount2(PINS, MNT_DETACH))
        die(PINS);
    for (int i = 0; i < n_places; i++)
        if (unlink(pin_of(&places[i])))
            die("%s", places[i].name);
    if (rmdir(PINS))
        die(PINS);
    charge(PINNING);
    end_restore(restoring);
    charge(RULES);
}

/* ---- all ----------------------------------------------------------------------------------- */

static void read_spec(const char *path)
{
    char line[512], word[16];
    FILE *file = fopen(path, "r");
    if (!file)
        die("%s", path);
    while (fgets(line, sizeof line, file)) {
        struct place *p = &places[n_places];
        struct knob *h = &held[n_held], *b = &of_bridges[n_of_bridges], *i = &inside[n_inside];
        struct bridge *r = &bridges[n_bridges];
        if (sscanf(line, "world %63s %d %u", world.mark, &world.mtu, &world.group) == 3)
            continue;
        if (sscanf(line, "held %159s %31s %31s", h->path, h->up, h->down) == 3)
            n_held++;
        else if (sscanf(line, "bridge %15s %19s %d", r->name, r->address, &r->filtered) == 3)
            n_bridges++;
        else if (sscanf(line, "switch %159s %31s", b->path, b->up) == 2)
            n_of_bridges++;
        else if (sscanf(line, "inside %159s %31s", i->path, i->up) == 2)
            n_inside++;
        else if (sscanf(line, "namespace %63s %15s %15s %15s %19s %15s %d", p->name, p->host_end,
                        p->link, p->bridge, p->address, p->gateway, &p->hairpin) == 7)
            n_places++;
        else if (sscanf(line, "%15s", word) == 1)
            errno = EINVAL, die("%s: %s", path, line);
        if (n_places == MOST || n_held == 16 || n_of_bridges == 64 || n_inside == 16
            || n_bridges == 64)
            errno = E2BIG, die("%s", path);
    }
    fclose(file);
}

int main(int count, char **words)
{
    if (count != 4 || (strcmp(words[1], "up") && strcmp(words[1], "down"))) {
        fputs("usage: floor up|down SPEC RULES\n", stderr);
        return 2;
    }
    read_spec(words[2]);
    double start = now_ms(), cpu = cpu_ms();
    if (words[1][0] == 'u')
        up(words[3]);
    else
        down(words[3]);
    printf("{\"total\": %.3f, \"cpu\": %.3f", now_ms() - start, cpu_ms() - cpu);
    for (int i = 0; i < PHASES; i++)
        if (spent[i] > 0)
            printf(", \"%s\": %.3f", phase_names[i], spent[i]);
    puts("}");
    return 0;
}
