//! Networks applied and buckets forgotten: what is about whole resources, whose buckets are listed before (`lua/reshape.lua`).

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::super::LedgerError;
use super::super::command::{ApplyNetwork, Command, Outcome, Refusal};
use super::keys::{self, Keys};
use super::link::{Link, LinkError};
use super::partition::{Partition, ledger_error};
use super::reading::{self, ReadError};
use super::{reply, steward};
use crate::domain::id::ResourceId;

/// Bytes of a document that are sent at a time.
const PART: usize = 1 << 20;
/// How long a document that was sent but not applied is kept, in seconds.
const UPLOADED: u64 = 3_600;
/// How often lists are made anew because buckets were touched meanwhile.
const TRIES: usize = 32;

/// Makes the command.
pub async fn run(partition: &mut Partition, command: &Command) -> Result<Outcome, LedgerError> {
    match command {
        Command::ApplyNetwork(c) => apply(partition, c).await,
        Command::Forget { before } => forget(partition, before).await,
        _ => Ok(Outcome::Done),
    }
}

/// Resources, each with its first bucket that is kept and the names of those before it.
struct Listed {
    /// The element of the feed as of which they were listed.
    last: String,
    resources: Vec<(ResourceId, i32, Vec<String>)>,
}

impl Listed {
    fn arguments(&self, what: &str, cmd: &mut redis::Cmd) {
        cmd.arg(what).arg(&self.last).arg(self.resources.len());
        for (resource, kept, buckets) in &self.resources {
            cmd.arg(resource.as_str()).arg(*kept).arg(buckets.len());
            for bucket in buckets {
                cmd.arg(bucket);
            }
        }
    }
}

async fn list(link: &mut Link, keys: &Keys, before: &[(ResourceId, i32)]) -> Result<Listed, ReadError> {
    let last = reading::head(link, keys).await?.last;
    let mut resources: BTreeMap<ResourceId, (i32, Vec<i32>)> = BTreeMap::new();
    for (resource, index) in before {
        let kept = resources.entry(resource.clone()).or_insert((*index, Vec::new()));
        kept.0 = kept.0.max(*index);
    }
    if !resources.is_empty() {
        let wanted: FxHashMap<&str, i32> = resources.iter().map(|(r, (kept, _))| (r.as_str(), *kept)).collect();
        let found = reading::buckets(link, keys, |name| wanted.contains_key(name)).await?;
        let mut found: Vec<_> =
            found.into_keys().filter(|(r, i)| wanted.get(r.as_str()).is_some_and(|kept| i < kept)).collect();
        found.sort();
        drop(wanted);
        for (resource, index) in found {
            if let Some((_, indexes)) = resources.get_mut(&resource) {
                indexes.push(index);
            }
        }
    }
    let name = |resource: &ResourceId, index: &i32| keys::bucket(resource, *index);
    let mut ordered: Vec<(ResourceId, i32, Vec<String>)> = Vec::new();
    // In the command's order, which its refusals keep.
    for (resource, _) in before {
        if let Some((kept, indexes)) = resources.remove(resource) {
            let buckets = indexes.iter().map(|index| name(resource, index)).collect();
            ordered.push((resource.clone(), kept, buckets));
        }
    }
    Ok(Listed { last, resources: ordered })
}

fn refused(e: LinkError) -> LedgerError {
    LedgerError::Unavailable(Arc::from(e.to_string()))
}

async fn forget(partition: &mut Partition, before: &[(ResourceId, i32)]) -> Result<Outcome, LedgerError> {
    let keys = partition.caller.keys.clone();
    for _ in 0..TRIES {
        let mut link = partition.caller.links.reads(&keys.head).await.map_err(refused)?;
        let listed = list(&mut link, &keys, before).await?;
        let documents = [keys.document(""), keys.document("")];
        let reply = partition.call_reshape(&documents, |cmd| listed.arguments("forget", cmd)).await;
        let reply = reply.map_err(|e| ledger_error(&e))?;
        if reply.codes != b"R" {
            return Ok(Outcome::Done);
        }
    }
    Err(LedgerError::Unavailable(Arc::from("the buckets to be forgotten are in use all the time")))
}

async fn apply(partition: &mut Partition, c: &ApplyNetwork) -> Result<Outcome, LedgerError> {
    let keys = partition.caller.keys.clone();
    let digest = steward::digest(&c.document);
    let name = uuid::Uuid::new_v4().simple().to_string();
    let dropped: Vec<(ResourceId, i32)> = c.dropped.iter().map(|r| (r.clone(), i32::MAX)).collect();
    let mut sent = false;
    for _ in 0..TRIES {
        let mut link = partition.caller.links.reads(&keys.head).await.map_err(refused)?;
        let head = reading::head(&mut link, &keys).await?;
        // Looked at here too, as sending a large document for nothing is dear; what counts is the script's look.
        let same = head.version > 0 && head.digest == digest;
        if !same && head.version != c.base_version {
            return Ok(Outcome::Refused(Refusal::NetworkChanged { version: head.version }));
        }
        if !same && !sent {
            send(&mut link, &keys.document(&name), &c.document).await.map_err(refused)?;
            sent = true;
        }
        let listed = list(&mut link, &keys, if same { &[] } else { &dropped }).await?;
        let documents = [keys.document(&name), keys.document(&head.document)];
        let arguments = |cmd: &mut redis::Cmd| {
            listed.arguments("network", cmd);
            cmd.arg(c.base_version).arg(&digest).arg(c.applied_at.0).arg(&name).arg(&head.document);
        };
        let unapplied = std::mem::replace(&mut partition.caller.unapplied, true);
        let reply = partition.call_reshape(&documents, arguments).await;
        partition.caller.unapplied = unapplied;
        let mut reply = reply.map_err(|e| ledger_error(&e))?;
        match reply.codes.as_slice() {
            b"A" | b"O" => return Ok(Outcome::NetworkApplied { version: reply.version }),
            b"W" => return Ok(Outcome::Refused(Refusal::NetworkChanged { version: reply.version })),
            b"C" => {
                let mut carrying = Vec::new();
                for number in reply.extras.by_ref() {
                    let number: usize = reply::number(number).map_err(|e| refused_reading(&e))?;
                    if let Some((resource, ..)) = listed.resources.get(number.wrapping_sub(1)) {
                        carrying.push(resource.clone());
                    }
                }
                return Ok(Outcome::Refused(Refusal::StillCarries(carrying)));
            }
            _ => {}
        }
    }
    Err(LedgerError::Unavailable(Arc::from("the resources that the network drops are in use all the time")))
}

fn refused_reading(e: &super::super::record::Unreadable) -> LedgerError {
    LedgerError::OutcomeUnknown(Arc::from(e.to_string()))
}

/// Sends a document in parts, so that nobody waits long for it. If it is never applied it goes by itself.
pub async fn send(link: &mut Link, key: &str, document: &[u8]) -> Result<(), LinkError> {
    // An empty document is one empty part; and a part that is sent twice lies where it lay.
    let parts = document.len().div_ceil(PART).max(1);
    for part in 0..parts {
        let bytes = &document[part * PART..document.len().min((part + 1) * PART)];
        let mut cmd = redis::cmd(if part == 0 { "SET" } else { "SETRANGE" });
        cmd.arg(key);
        if part > 0 {
            cmd.arg(part * PART);
        }
        link.send(cmd.arg(bytes)).await?;
    }
    let mut cmd = redis::cmd("EXPIRE");
    cmd.arg(key).arg(UPLOADED);
    link.send(&cmd).await?;
    Ok(())
}
