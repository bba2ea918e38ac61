//! `audit`, `export` and `import` on real folders: what they say, and how they end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anstream::adapter::strip_str;
use prost::Message;

use super::exit::Exit;
use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::domain::answer::{Answer, Promise, Verdict};
use crate::domain::ask::{Ask, Destination, Line, Shipments, When};
use crate::domain::draw::{Draw, Pool, Take};
use crate::domain::id::{NetworkId, ReservationId, ResourceId};
use crate::domain::reservation::Fingerprint;
use crate::domain::time::{Day, Moment, Span};
use crate::ledger::Ledger;
use crate::ledger::audit::{Counter, Repair};
use crate::ledger::command::{self, ApplyNetwork, Hold, SetSupply, SupplyRun};
use crate::ledger::embedded::{EmbeddedConfig, EmbeddedLedger};
use crate::ledger::stewardship::Steward;
use crate::proto::v1;

struct Outcome {
    exit: Exit,
    out: String,
    err: String,
}

async fn run(words: &str) -> Outcome {
    let command = parse(format!("surety {words}").split_whitespace()).unwrap().command;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let clock = ManualClock::at(Moment(0));
    let mut console = Console::new(&mut out, &mut err, &clock);
    let json = command.json();
    let exit = match call(command, &mut console).await {
        Ok(exit) => exit,
        Err(failure) => {
            console.complain(&failure, json);
            failure.exit()
        }
    };
    let text = |bytes: Vec<u8>| strip_str(&String::from_utf8(bytes).unwrap()).to_string();
    Outcome { exit, out: text(out), err: text(err) }
}

/// A folder with a store in it, and room for files.
struct Shop {
    folder: tempfile::TempDir,
}

const DAY: i32 = 20_790; // 2026-12-03

impl Shop {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A word of the command line.
    fn word(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn open(&self) -> Arc<EmbeddedLedger> {
        EmbeddedLedger::open(EmbeddedConfig::new(self.path("store")), Arc::new(SystemClock::new())).unwrap()
    }

    async fn audit(&self, options: &str) -> Outcome {
        run(&format!("audit --store embedded:{} {options}", self.word("store"))).await
    }

    async fn plant(&self, counter: Counter, index: i32, by: i64) {
        let ledger = self.open();
        let resource = ResourceId::new("lej.pack").unwrap();
        let repair = Repair { resource, index, counter, by };
        ledger.repair(&NetworkId::default_network(), &[repair]).await.unwrap();
        ledger.close().await;
    }

    /// A shop with one resource of hourly buckets, ten units in the two from 14:00 on, and three of the first confirmed.
    async fn new() -> Shop {
        let shop = Shop { folder: tempfile::tempdir().unwrap() };
        let ledger = shop.open();
        let default = NetworkId::default_network();
        let message = v1::Network {
            sites: vec![v1::Site { id: "lej".into(), time_zone: "Europe/Berlin".into(), ..Default::default() }],
            resources: vec![v1::Resource {
                id: "lej.pack".into(),
                site: "lej".into(),
                kind: v1::resource::Kind::Capacity.into(),
                bucket: Some(pbjson_types::Duration { seconds: 3_600, nanos: 0 }),
                ..Default::default()
            }],
            ..Default::default()
        };
        let apply = ApplyNetwork {
            base_version: 0,
            document: message.encode_to_vec().into(),
            applied_at: Moment(0),
            dropped: vec![],
        };
        let confirm = command::Confirm { id: ReservationId::new("r").unwrap(), reference: None, retake: None };
        for command in [
            command::Command::ApplyNetwork(apply),
            set(&[10, 10]),
            command::Command::Hold(Box::new(hold())),
            command::Command::Confirm(confirm),
        ] {
            let outcome = ledger.execute(&default, command, None).await.unwrap();
            assert!(!matches!(outcome, command::Outcome::Refused(_)), "{outcome:?}");
        }
        ledger.close().await;
        shop
    }
}

fn set(units: &[i64]) -> command::Command {
    let resource = ResourceId::new("lej.pack").unwrap();
    let run = SupplyRun { resource, first: DAY * 24 + 14, units: units.to_vec() };
    command::Command::SetSupply(SetSupply { network_version: 1, runs: vec![run], only_unset: false })
}

fn hold() -> Hold {
    let promise = Arc::new(Promise {
        date: Day(DAY),
        arrives_from: Moment(0),
        arrives_by: Moment(0),
        ships_at: Moment(0),
        order_by: Moment(0),
        shipments: Vec::new(),
        confidence: None,
    });
    let draw = Draw {
        resource: ResourceId::new("lej.pack").unwrap(),
        index: DAY * 24 + 14,
        from: Moment(0),
        to: Moment(0),
        pool: Pool::Common,
        units: 3,
    };
    Hold {
        id: ReservationId::new("r").unwrap(),
        fingerprint: Fingerprint(7),
        network_version: 1,
        ask: Arc::new(Ask {
            lines: vec![Line { sku: "cake".into(), quantity: 3 }],
            destination: Destination::Zone("north".into()),
            when: When::Any,
            service: None,
            channel: None,
            offer: None,
            shipments: Shipments::Together,
            min_confidence: None,
        }),
        answer: Arc::new(Answer {
            verdict: Verdict::Promised,
            promise: Some(Arc::clone(&promise)),
            bottlenecks: Vec::new(),
            alternatives: Vec::new(),
            as_of: Moment(0),
        }),
        promise,
        takes: vec![Take { draw, standing: 0 }],
        hold: Span::days(7),
        reference: "".into(),
    }
}

#[tokio::test]
async fn an_audit_that_finds_nothing_says_so_in_a_line() {
    let shop = Shop::new().await;
    let found = shop.audit("").await;
    assert_eq!(found.exit, Exit::Done);
    assert!(found.out.starts_with("Nothing is wrong: 2 buckets and 1 reservation of network 'default' as of "));
    assert_eq!((found.out.lines().count(), found.err.as_str()), (1, ""), "{}", found.out);
    let nothing_to_mend = shop.audit("--repair").await;
    assert_eq!(nothing_to_mend.exit, Exit::Done);
    assert!(nothing_to_mend.out.starts_with("Nothing is wrong: "), "{}", nothing_to_mend.out);
}

#[tokio::test]
async fn drifts_are_shown_with_what_mends_them_and_mended_on_demand() {
    let shop = Shop::new().await;
    shop.plant(Counter::Confirmed, DAY * 24 + 14, 1_234).await;
    shop.plant(Counter::Held, DAY * 24 + 15, 2).await;
    shop.plant(Counter::Confirmed, DAY * 24 + 14, -2).await;
    let found = shop.audit("").await;
    assert_eq!(found.exit, Exit::No, "{}", found.err);
    let table = "  \
  RESOURCE  BUCKET            NUMBER       HAS  SHOULD  MENDS BY
  lej.pack  2026-12-03T14:00  confirmed  1,235       3    -1,232
  lej.pack  2026-12-03T15:00  held           2       0        -2
2 numbers are wrong in 2 buckets and 1 reservation of network 'default' as of ";
    assert!(found.out.starts_with(table), "{}", found.out);
    assert!(found.out.ends_with(". `surety audit --repair` mends it.\n"), "{}", found.out);
    let json = shop.audit("--json").await;
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["drifts"][0]["start"], "2026-12-03T14:00");
    assert_eq!(json["drifts"][0]["mendsBy"], -1_232);
    assert_eq!((&json["mended"], &json["cursor"]), (&serde_json::Value::Null, &serde_json::json!("7")));

    let mended = shop.audit("--repair").await;
    assert_eq!(mended.exit, Exit::Done);
    let last = mended.out.lines().last().unwrap_or_default();
    assert!(last.starts_with("Mended: 2 numbers in 2 buckets and 1 reservation"), "{last}");
    assert!(last.ends_with("; 2 buckets changed, and now all agree."), "{last}");
    assert_eq!(shop.audit("").await.exit, Exit::Done, "it stays mended");
}

#[tokio::test]
async fn buckets_below_zero_are_shown_with_their_cause_and_are_no_fault() {
    let shop = Shop::new().await;
    let ledger = shop.open();
    ledger.execute(&NetworkId::default_network(), set(&[1]), None).await.unwrap();
    ledger.close().await;
    let found = shop.audit("").await;
    assert_eq!(found.exit, Exit::Done);
    let table = "\
Below zero, because supply was set below what had been promised; the ledger is right:
  RESOURCE  BUCKET            SUPPLY  DRAWN  LEFT
  lej.pack  2026-12-03T14:00       1      3    -2
Nothing is wrong: ";
    assert!(found.out.starts_with(table), "{}", found.out);
    let json: serde_json::Value = serde_json::from_str(&shop.audit("--json").await.out).unwrap();
    assert_eq!(json["belowZero"][0]["balance"], -2);
}

#[tokio::test]
async fn a_network_goes_into_a_file_and_into_another_store() {
    let shop = Shop::new().await;
    let (from, to, file) = (shop.word("store"), shop.word("new"), shop.word("shop.export"));
    let exported = run(&format!("export --store embedded:{from} {file}")).await;
    assert_eq!(exported.exit, Exit::Done, "{}", exported.err);
    let want = format!("Exported: network 'default' of embedded:{from} as of ");
    assert!(exported.out.starts_with(&want), "{}", exported.out);
    let sizes = "cursor 4: version 1, 2 buckets, 1 reservation, 4 event entries.\n";
    assert!(exported.out.ends_with(sizes), "{}", exported.out);
    assert!(!shop.path("shop.export.part").exists());

    let imported = run(&format!("import --store embedded:{to} {file}")).await;
    assert_eq!(imported.exit, Exit::Done, "{}", imported.err);
    assert!(imported.out.contains(&format!("network 'default' into embedded:{to}")), "{}", imported.out);
    assert!(imported.out.ends_with("4 event entries. Cursors go on from 4.\n"), "{}", imported.out);
    let again = run(&format!("import --store embedded:{to} {file}")).await;
    assert_eq!(again.exit, Exit::No);
    assert_eq!(
        again.err,
        format!(
            "surety: nothing was imported into network 'default' of embedded:{to}: there is something in it already: \
             version 1, 2 buckets, 1 reservations; name another store or --in-network\n"
        )
    );
    let other = run(&format!("import --store embedded:{to} --in-network other {file} --json")).await;
    let other: serde_json::Value = serde_json::from_str(&other.out).unwrap();
    assert_eq!((&other["network"], &other["entries"]), (&serde_json::json!("other"), &serde_json::json!(4)));
    assert_eq!(run(&format!("audit --store embedded:{to} --in-network other")).await.exit, Exit::Done);

    let unknown = run(&format!("audit --store embedded:{to} --in-network third")).await;
    assert_eq!(unknown.exit, Exit::No);
    let want = format!("surety: there is no network 'third' in embedded:{to}; there are: 'default', 'other'\n");
    assert_eq!(unknown.err, want);
}

#[tokio::test]
async fn what_is_wrong_is_moved_and_told() {
    let shop = Shop::new().await;
    shop.plant(Counter::Held, DAY * 24 + 15, 2).await;
    let (from, to, file) = (shop.word("store"), shop.word("new"), shop.word("shop.export"));
    let warning = "1 number of its buckets is wrong; `surety audit` shows them, --repair mends them\n";
    for words in [format!("export --store embedded:{from} {file}"), format!("import --store embedded:{to} {file}")] {
        let moved = run(&words).await;
        assert_eq!(moved.exit, Exit::Done, "{}", moved.err);
        assert!(moved.out.ends_with(warning), "{}", moved.out);
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_or_something_else_is_refused_and_nothing_stays() {
    let shop = Shop::new().await;
    let (from, to, file) = (shop.word("store"), shop.word("new"), shop.word("shop.export"));
    run(&format!("export --store embedded:{from} {file}")).await;
    let whole = std::fs::read(&file).unwrap();
    let import = format!("import --store embedded:{to} {file}");
    let cut = whole.len() - 20;
    std::fs::write(&file, &whole[..cut]).unwrap();
    let refused = run(&import).await;
    assert_eq!(refused.exit, Exit::Wrong);
    let want = format!("surety: nothing was imported:\n  {file}: it ends at byte {cut}, in the midst");
    assert!(refused.err.starts_with(&want), "{}", refused.err);
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    let refused = run(&import).await;
    assert!(refused.err.contains("it is damaged at byte "), "{}", refused.err);
    std::fs::write(&file, "sites: []\n").unwrap();
    let refused = run(&import).await;
    assert_eq!(refused.exit, Exit::Wrong);
    assert!(refused.err.contains("it is no export"), "{}", refused.err);
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(run(&import).await.exit, Exit::Done, "the same can be tried again");
    let missing = run(&format!("import --store embedded:{to} /no/such/file")).await;
    assert_eq!(missing.exit, Exit::Wrong);
    assert!(missing.err.contains("/no/such/file: No such file"), "{}", missing.err);
}

#[tokio::test]
async fn an_export_that_fails_leaves_the_file_that_was_there() {
    let shop = Shop::new().await;
    let (store, file) = (shop.word("store"), shop.word("shop.export"));
    std::fs::write(&file, "yesterday's").unwrap();
    let nothing = run(&format!("export --store embedded:{store} --in-network other {file}")).await;
    assert_eq!(nothing.exit, Exit::No);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "yesterday's");
    let empty = EmbeddedLedger::open(EmbeddedConfig::new(shop.path("empty")), Arc::new(SystemClock::new())).unwrap();
    empty.close().await;
    drop(empty);
    let nothing = run(&format!("export --store embedded:{} {file}", shop.word("empty"))).await;
    assert_eq!(nothing.exit, Exit::No);
    assert!(nothing.err.contains("nothing was exported: network 'default' in "), "{}", nothing.err);
    let nowhere = run(&format!("export --store embedded:{store} /no/such/folder/file")).await;
    assert_eq!(nowhere.exit, Exit::Wrong);
    assert!(nowhere.err.starts_with("surety: the export can't be written:\n  /no/such/folder/file: No such file"));
    let folder = run(&format!("export --store embedded:{store} {store}")).await;
    assert!(folder.err.contains("is a folder; name a file"), "{}", folder.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "yesterday's");
    assert!(!Path::new(&format!("{file}.part")).exists());
}

#[tokio::test]
async fn stores_that_cant_be_had_are_told_plainly() {
    let shop = Shop::new().await;
    let file = shop.word("file");
    for command in ["audit".to_owned(), format!("export {file}"), format!("import {file}")] {
        let memory = run(&format!("{command} --store memory:")).await;
        assert_eq!(memory.exit, Exit::Wrong);
        assert!(memory.err.contains("--store: 'memory:' holds nothing that another process could see"));
        let both = run(&format!("{command} --store nowhere --in-network \u{1}")).await;
        assert!(both.err.contains("--store: 'nowhere' is not a store") && both.err.contains("--in-network: "));
    }
    for command in ["audit".to_owned(), format!("export {file}")] {
        let absent = run(&format!("{command} --store embedded:{}", shop.word("absent"))).await;
        assert_eq!(absent.exit, Exit::Wrong);
        assert!(absent.err.contains("there is no ledger in "), "{}", absent.err);
        assert!(!shop.path("absent").exists(), "it is not made");
    }
    let in_use = shop.open();
    let found = shop.audit("").await;
    assert_eq!(found.exit, Exit::Unreachable);
    assert!(found.err.contains("is in use by another process; stop that one"), "{}", found.err);
    in_use.close().await;
}
