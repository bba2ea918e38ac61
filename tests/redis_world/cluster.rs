//! A cluster: primaries that share the slots, with replicas or without.

use super::flavour::Flavour;
use super::port::Port;
use super::proxy::Proxy;
use super::resp::Value;
use super::server::{Options, Server, pairs};
use super::wait::until;

const SLOTS: usize = 16_384;

/// What a cluster consists of. The default is three primaries and nothing else.
#[derive(Clone, Debug)]
pub struct Shape {
    pub primaries: usize,
    /// How many each primary has.
    pub replicas: usize,
    /// A proxy before each node, by which clients and replicas reach it; the nodes' bus does not go through it.
    pub proxied: bool,
    /// Of every node.
    pub options: Options,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { primaries: 3, replicas: 0, proxied: false, options: Options::default() }
    }
}

/// A cluster of which every node knows every other. A dead primary is replaced after some three seconds, if it has a replica
/// and most of the primaries live.
#[derive(Debug)]
pub struct Cluster {
    /// The primaries of the beginning, then their replicas.
    pub nodes: Vec<Server>,
    /// One for each node where they are proxied, else none.
    pub proxies: Vec<Proxy>,
    ids: Vec<String>,
    access: super::server::Access,
}

impl Cluster {
    /// Starts the nodes, shares the slots out evenly, and waits until all nodes call the state ok.
    #[track_caller]
    pub fn start(flavour: Flavour, shape: Shape) -> Cluster {
        let many = shape.primaries * (1 + shape.replicas);
        let mut proxies = Vec::new();
        let mut nodes = Vec::new();
        for _ in 0..many {
            let port = shape.proxied.then(Port::reserve);
            let mut options = Options { cluster: true, ..shape.options.clone() };
            options.announced_port = port.as_ref().map(Port::number);
            options.lines.push("cluster-node-timeout 2000".into());
            // However long a replica had lost its primary, it may stand in for it.
            options.lines.push("cluster-replica-validity-factor 0".into());
            let node = Server::start(flavour, options);
            proxies.extend(port.map(|port| Proxy::start_at(port, node.address())));
            nodes.push(node);
        }
        let ids = nodes.iter().map(|node| node.cli(&["CLUSTER", "MYID"]).text()).collect();
        let cluster = Cluster { nodes, proxies, ids, access: shape.options.access.clone() };
        cluster.meet();
        cluster.share_out(shape.primaries);
        for replica in shape.primaries..many {
            let primary = &cluster.ids[replica % shape.primaries];
            cluster.nodes[replica].cli(&["CLUSTER", "REPLICATE", primary]);
        }
        cluster.nodes[shape.primaries..].iter().for_each(Server::wait_until_in_sync);
        cluster.wait_until_ok();
        cluster
    }

    /// Its address for `--store`: that of every node, or of its proxy.
    pub fn url(&self) -> String {
        let scheme = if self.nodes[0].url().starts_with("rediss") { "rediss" } else { "redis" };
        let proxies = self.proxies.iter().map(|proxy| proxy.address().to_string());
        let nodes = self.nodes.iter().map(|node| node.address().to_string());
        let addresses: Vec<String> =
            if self.proxies.is_empty() { nodes.collect::<Vec<_>>() } else { proxies.collect::<Vec<_>>() };
        format!("{scheme}+cluster://{}{}", self.access.in_url(), addresses.join(","))
    }

    /// The slot of a key, from 0 to 16383.
    #[track_caller]
    pub fn slot_of(&self, key: &str) -> u16 {
        let slot = self.witness().cli(&["CLUSTER", "KEYSLOT", key]).int();
        u16::try_from(slot).expect("a slot")
    }

    /// The index of the primary that has a key.
    #[track_caller]
    pub fn node_of(&self, key: &str) -> usize {
        self.node_of_slot(self.slot_of(key))
    }

    /// The index of the primary that has a slot, as the nodes that run agree it is.
    #[track_caller]
    pub fn node_of_slot(&self, slot: u16) -> usize {
        until("the nodes agree on who has the slot", || self.agreed(slot))
    }

    /// SIGKILL for the primary that has a key, and waits until a replica stands in and the state is ok. The indexes of the
    /// dead one and the new one; the dead one can be restarted, and becomes the replica.
    #[track_caller]
    pub fn kill_primary_of(&self, key: &str) -> (usize, usize) {
        let slot = self.slot_of(key);
        let dead = self.node_of_slot(slot);
        self.nodes[dead].kill9();
        (dead, self.wait_for_another(slot, dead))
    }

    /// Waits until a slot has another primary than this one and the state is ok. Its index. A node that is paused has to be
    /// told of by `old`, and be the only one paused: the others are asked.
    #[track_caller]
    pub fn wait_for_another(&self, slot: u16, old: usize) -> usize {
        let new = until("another node has the slot", || self.agreed_without(slot, Some(old)).filter(|&one| one != old));
        until("the state is ok", || self.is_ok(Some(old)).then_some(()));
        new
    }

    /// Waits until all nodes that run call the state ok, with all slots served.
    #[track_caller]
    pub fn wait_until_ok(&self) {
        until("all nodes call the state ok", || self.is_ok(None).then_some(()));
    }

    /// Moves a slot with its keys to another primary.
    #[track_caller]
    pub fn move_slot(&self, slot: u16, to: usize) {
        self.begin_move(slot, to);
        while self.move_keys(slot, to, 100) > 0 {}
        self.end_move(slot, to);
    }

    /// First part of a move: from now on the old primary sends clients on for keys that it does not have.
    #[track_caller]
    pub fn begin_move(&self, slot: u16, to: usize) {
        let (from, slot) = (self.node_of_slot(slot), slot.to_string());
        self.nodes[to].cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &self.ids[from]]);
        self.nodes[from].cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &self.ids[to]]);
    }

    /// Second part, again and again: moves up to so many keys; how many it were.
    #[track_caller]
    pub fn move_keys(&self, slot: u16, to: usize, most: usize) -> usize {
        let from = &self.nodes[self.node_of_slot(slot)];
        let keys = from.cli(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), &most.to_string()]);
        let keys: Vec<String> = keys.list().iter().map(Value::text).collect();
        if !keys.is_empty() {
            let port = self.nodes[to].port().to_string();
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000"];
            let admin = self.access.admin();
            if let Some((user, password)) = &admin {
                words.extend(["AUTH2", user, password]);
            }
            words.push("KEYS");
            words.extend(keys.iter().map(String::as_str));
            from.cli(&words);
        }
        keys.len()
    }

    /// Last part: the slot is the new primary's, and all nodes know.
    #[track_caller]
    pub fn end_move(&self, slot: u16, to: usize) {
        let from = self.node_of_slot(slot);
        let (text, id) = (slot.to_string(), &self.ids[to]);
        for node in [to, from] {
            self.nodes[node].cli(&["CLUSTER", "SETSLOT", &text, "NODE", id]);
        }
        until("all nodes know of the move", || (self.agreed(slot) == Some(to)).then_some(()));
        self.wait_until_ok();
    }

    fn meet(&self) {
        for (number, node) in self.nodes.iter().enumerate() {
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
        }
        let bus = |node: &Server| node.cli(&["CONFIG", "GET", "cluster-port"]).list()[1].text();
        for node in &self.nodes[1..] {
            self.nodes[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), &bus(node)]);
        }
        for node in &self.nodes {
            until("the nodes know each other", || {
                let known = node.cli(&["CLUSTER", "NODES"]).text();
                let whole = known.lines().count() == self.nodes.len() && !known.contains("handshake");
                whole.then_some(())
            });
        }
    }

    fn share_out(&self, primaries: usize) {
        for number in 0..primaries {
            let (first, end) = (SLOTS * number / primaries, SLOTS * (number + 1) / primaries);
            self.nodes[number].cli(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(end - 1).to_string()]);
        }
    }

    fn witness(&self) -> &Server {
        self.nodes.iter().find(|node| node.is_running()).expect("a node that runs")
    }

    fn agreed(&self, slot: u16) -> Option<usize> {
        self.agreed_without(slot, None)
    }

    /// The primary of a slot, if all nodes that run, but for one that need not be asked, say the same.
    fn agreed_without(&self, slot: u16, silent: Option<usize>) -> Option<usize> {
        let mut owners = self.asked(silent).map(|node| {
            let ranges = node.try_cli(&["CLUSTER", "SLOTS"]).ok()?;
            let has = |range: &&Value| {
                let range = range.list();
                (range[0].int()..=range[1].int()).contains(&i64::from(slot))
            };
            let owner = ranges.list().iter().find(has)?.list()[2].list()[2].text();
            self.ids.iter().position(|id| *id == owner)
        });
        let first = owners.next()??;
        owners.all(|owner| owner == Some(first)).then_some(first)
    }

    fn is_ok(&self, silent: Option<usize>) -> bool {
        self.asked(silent).all(|node| {
            let Ok(Value::Bulk(about)) = node.try_cli(&["CLUSTER", "INFO"]) else { return false };
            let about = pairs(&String::from_utf8_lossy(&about));
            about["cluster_state"] == "ok" && about["cluster_slots_ok"] == SLOTS.to_string()
        })
    }

    fn asked(&self, silent: Option<usize>) -> impl Iterator<Item = &Server> {
        let all = self.nodes.iter().enumerate();
        all.filter(move |(number, node)| Some(*number) != silent && node.is_running()).map(|(_, node)| node)
    }
}
