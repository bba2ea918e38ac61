use super::*;
use crate::domain::limits::MAX_ALIASED_EVENTS;
use crate::domain::time::Moment;
use crate::edge::from_proto;
use crate::files::mutation::try_many;

const GOOD: &str = r#"
# A shop.
sites:
  - {id: lej, display_name: "Leipzig warehouse", time_zone: Europe/Berlin}
zones:
  - id: de
    timeZone: Europe/Berlin
    postal_prefixes: [DE-0, DE-]
resources:
  - id: lej.pack
    site: lej
    kind: KIND_CAPACITY
    unit: parcels
    bucket: 900s
    weekly: &shifts
      - days: [WEEKDAY_MONDAY, WEEKDAY_FRIDAY]
        from: 08:00
        to: 16:00
        units: 5
    closed: [2026-12-25, "2026-12-26"]
    horizonDays: 30
  - id: 4711
    site: lej
    kind: 1
    bucket: 3600s
    weekly: *shifts
  - id: lej.stock.mug
    site: lej
    kind: KIND_STOCK
    weekly:
processes:
  - id: pack
    steps:
      - {resource: lej.pack, perItem: 1, divisible: true, cutoff: "14:00", lead_time: 0.25s}
products:
  - sku: mug
    sources: [{site: lej, stock: lej.stock.mug, process: pack}]
lanes:
  - id: std
    site: lej
    zone: de
    service: standard
    departureTime: 17:30
    transit_days: '2'
channels: [{id: web, priority: -3}]
"#;

const NOW: Moment = Moment(1_800_000_000_000_000);

fn parse(file: &str, text: &str) -> Result<v1::Network, String> {
    read(file, text.as_bytes()).map(|(network, _)| network).map_err(|faults| faults.to_string())
}

fn check(file: &str, text: &str) -> String {
    let (network, source) = match read(file, text.as_bytes()) {
        Ok(read) => read,
        Err(faults) => return faults.to_string(),
    };
    from_proto::network(network, NOW).map_or_else(|faults| source.locate(&faults).to_string(), |_| "good".to_owned())
}

#[test]
fn yaml_and_json_mean_the_same() {
    let from_yaml = parse("shop.yaml", GOOD).expect("good");
    assert_eq!(from_yaml.resources[1].id, "4711");
    assert_eq!(from_yaml.resources[1].weekly, from_yaml.resources[0].weekly, "an alias stands for its anchor");
    assert_eq!(from_yaml.resources[0].weekly[0].from, "08:00");
    assert_eq!(from_yaml.resources[0].closed, ["2026-12-25", "2026-12-26"]);
    assert_eq!(from_yaml.resources[0].horizon_days, 30);
    assert_eq!(from_yaml.lanes[0].transit_days, 2);
    let lead_time = from_yaml.processes[0].steps[0].lead_time;
    assert_eq!(lead_time, Some(Duration { seconds: 0, nanos: 250_000_000 }));
    assert_eq!(check("shop.yaml", GOOD), "good");

    for json in [serde_json::to_string(&from_yaml), serde_json::to_string_pretty(&from_yaml)] {
        let json = json.expect("printable");
        assert_eq!(parse("shop.json", &json).expect("good"), from_yaml);
        assert_eq!(parse("shop", &json).expect("good"), from_yaml, "known by its first character");
        assert_eq!(parse("shop.yaml", &json).expect("good"), from_yaml, "JSON is YAML");
        assert_eq!(parse("shop.json", &format!("\u{feff}{}", json.replace('\n', "\r\n"))).expect("good"), from_yaml);
        let by_serde: v1::Network = serde_json::from_str(&json).expect("good");
        assert_eq!(by_serde, from_yaml);
    }
    let by_serde: v1::Network = serde_saphyr::from_str(&GOOD.replace("    weekly:\nproc", "proc")).expect("good");
    assert_eq!(by_serde, from_yaml);
    assert_eq!(parse("a.yml", &GOOD.replace('\n', "\r\n")).expect("good"), from_yaml);
    assert_eq!(parse("a.json", "{}").expect("good"), v1::Network::default());
    assert_eq!(parse("a.json", r#"{"sites": null, "zones": [{"id": null}]}"#).expect("good").zones[0].id, "");
}

#[test]
fn all_faults_of_a_file_are_named_with_line_and_column() {
    let yaml = "sites:\n  - id: lej\n    timezone: Europe/Berlin\nresources:\n  - id: [a]\n    kind: KIND_CAPCITY\n    \
                bucket: 15m\n    weekly:\n      - days: [MONDAY, WEEKDAY_SUNDAY, 9]\n        units: 5.5\n        units: 3\n  \
                - nonsense\nproducts: 7\nstores: {a: [b, {c: d}]}\nprocesses:\n  - steps: [{divisible: yes}]\n";
    assert_eq!(
        parse("n.yaml", yaml).expect_err("faults"),
        "n.yaml:3:5: sites[0]: there is no field 'timezone'; there are id, display_name, time_zone\n\
         n.yaml:5:9: resources[0].id: is a list; a text is needed\n\
         n.yaml:6:11: resources[0].kind: 'KIND_CAPCITY' is not known; KIND_CAPACITY or KIND_STOCK is right\n\
         n.yaml:7:13: resources[0].bucket: '15m' is not a duration; write seconds, such as 900s\n\
         n.yaml:9:16: resources[0].weekly[0].days[0]: 'MONDAY' is not known; WEEKDAY_MONDAY to WEEKDAY_SUNDAY is right\n\
         n.yaml:9:40: resources[0].weekly[0].days[2]: '9' is not known; WEEKDAY_MONDAY to WEEKDAY_SUNDAY is right\n\
         n.yaml:10:16: resources[0].weekly[0].units: '5.5' is not a whole number; write digits only\n\
         n.yaml:11:9: resources[0].weekly[0].units: is given twice; first on line 10\n\
         n.yaml:12:5: resources[1]: is 'nonsense'; a map with keys such as id is needed\n\
         n.yaml:13:11: products: is '7'; a list is needed\n\
         n.yaml:14:1: there is no field 'stores'; there are sites, zones, resources, processes, products, lanes, channels\n\
         n.yaml:16:25: processes[0].steps[0].divisible: 'yes' is neither true nor false"
    );
    let json = "{\"resources\": [\n  {\"id\": 7, \"kïnd\": 1,\n   \"é\": \"ü\", \"horizonDays\": 99999999999}\n]}";
    assert_eq!(
        parse("n.json", json).expect_err("faults"),
        "n.json:2:10: resources[0].id: is 7; a text in double quotes is needed\n\
         n.json:2:13: resources[0]: there is no field 'kïnd'; there are id, site, display_name, kind, unit, bucket, weekly, \
         closed, horizon_days\n\
         n.json:3:4: resources[0]: there is no field 'é'; there are id, site, display_name, kind, unit, bucket, weekly, \
         closed, horizon_days\n\
         n.json:3:29: resources[0].horizon_days: '99999999999' is too large a number"
    );
}

#[test]
fn unreadable_files_say_where() {
    for (file, text, wanted) in [
        ("a.json", "", "a.json:1:1: is empty; a network is needed"),
        ("a.yaml", "# nothing\n", "is empty; a network is needed"),
        (
            "a.yaml",
            "- a\n",
            "a.yaml:1:1: is a list; a network, with keys such as sites, zones and resources, is needed",
        ),
        ("a.json", "{\"sites\": [],}", "a.json:1:14: '}' follows a comma; leave the comma out"),
        ("a.json", "{\n \"sites\" []}", "a.json:2:10: '[' stands here; ':' is needed"),
        ("a.json", "{\n \"sites\": [", "a.json:2:12: the file ends; a value is needed"),
        ("a.json", "{sites: []}", "a.json:1:2: 's' stands here; a key in double quotes is needed"),
        ("a.json", "{\"sites\": [{\"id\": \"a\nb\"}]}", "a.json:1:19: begins a text that does not end on its line"),
        ("a.json", "{\"sites\": [{\"id\": \"a\\x\"}]}", "a.json:1:21: is not an escape of JSON"),
        ("a.json", "{\"sites\": [{\"id\": \"\\ud800\"}]}", "a.json:1:20: is half of a surrogate pair"),
        ("a.json", "{\"channels\": [{\"priority\": 01}]}", "a.json:1:28: '01' is not a JSON number"),
        ("a.json", "{} {}", "a.json:1:4: follows the end of the document"),
        ("a.yaml", "sites: []\n---\nsites: []\n", "a.yaml:2:1: begins a second document"),
        ("a.yaml", "sites: [\n", "a.yaml:"),
        ("a.yaml", "sites: *nowhere\n", "a.yaml:1:8: "),
        ("a.yaml", "sites:\n  - &a {id: *a}\n", "a.yaml:2:13: stands for something that contains it"),
        ("a.yaml", "sites: !ruby/object [a]\n", "means nothing here"),
        ("a.yaml", "zones:\n  - &z {id: a}\n  - {<<: *z}\n", "a.yaml:3:6: zones[1]: merge keys (<<) are not taken"),
    ] {
        let said = parse(file, text).expect_err(text);
        assert!(said.contains(wanted), "{text:?} says {said:?}, not {wanted:?}");
    }
    let said = read("a.yaml", &b"sites:\n  - id: M\xfcnchen\n"[..]).map(|_| ()).expect_err("not UTF-8").to_string();
    assert_eq!(said, "a.yaml:2:10: is not UTF-8 here; save the file as UTF-8");
}

#[test]
fn bombs_are_refused() {
    let mut laughs = "sites: []\na0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for i in 1..10 {
        let copies = vec![format!("*a{}", i - 1); 10].join(", ");
        laughs.push_str(&format!("a{i}: &a{i} [{copies}]\n"));
    }
    let said = parse("bomb.yaml", &laughs).expect_err("a bomb");
    assert!(said.contains(&format!("stand for above {MAX_ALIASED_EVENTS} entries")), "{said}");
    for (file, deep) in [
        ("deep.yaml", format!("sites: {}", "[".repeat(100_000))),
        ("deep.yaml", (0..200).map(|i| format!("{}a:\n", " ".repeat(i))).collect()),
        ("deep.yaml", format!("sites: {}x", "- ".repeat(10_000))),
        ("deep.json", format!("{{\"sites\": {}", "[".repeat(100_000))),
    ] {
        let said = parse(file, &deep).expect_err("too deep");
        assert!(said.len() < 1_000, "{said}");
    }
}

#[test]
fn semantic_faults_are_found_at_line_4711() {
    let mut yaml =
        "sites: [{id: s, time_zone: UTC}]\nzones: [{id: z, time_zone: UTC}]\nlanes:\n  - {id: l, site: s, zone: z}\n\
                    resources:\n"
            .to_owned();
    let mut json =
        "{\"sites\": [{\"id\": \"s\", \"timeZone\": \"UTC\"}], \"zones\": [{\"id\": \"z\", \"time_zone\": \"UTC\"}],\n\
                    \"lanes\": [{\"id\": \"l\", \"site\": \"s\", \"zone\": \"z\"}],\n\"resources\": [\n"
            .to_owned();
    for i in 0..1_200 {
        let units = if i == 940 { -5 } else { 5 };
        // Five lines each in YAML, from line 6 on; one each in JSON.
        yaml.push_str(&format!(
            "  - id: r{i}\n    site: s\n    kind: KIND_CAPACITY\n    weekly:\n      - units: {units}\n"
        ));
        let end = if i == 1_199 { "]}\n" } else { ",\n" };
        json.push_str(&format!(
            "  {{\"id\": \"r{i}\", \"site\": \"s\", \"kind\": \"KIND_CAPACITY\", \"weekly\": [{{\"units\": \"{units}\"}}]}}{end}"
        ));
    }
    let what = "resources[940].weekly[0].units: is -5; it must lie between 0 and 9007199254740991";
    assert_eq!(check("network.yaml", &yaml), format!("network.yaml:4710:16: {what}"));
    let shifted = format!("# one line more\n{yaml}");
    assert_eq!(check("network.yaml", &shifted), format!("network.yaml:4711:16: {what}"));
    let json = format!("{}{json}", "\n".repeat(4_711 - 944));
    assert_eq!(check("network.json", &json), format!("network.json:4711:77: {what}"));
}

#[test]
fn what_is_missing_is_told_at_what_should_contain_it() {
    let yaml = "resources:\n  - id: a\n    site: lej\n  - {id: b, site: lej, kind: KIND_STOCK, displayName: x, closed: [2026-12-24,\n      \
                Xmas]}\nsites:\n  - {id: lej, timeZone: Berlin}\nzones:\n  - &z {id: de, time_zone: UTC}\n  - *z\n";
    let said = check("n.yaml", yaml);
    let places: Vec<&str> = said.lines().map(|l| &l[..l.find(": is").or(l.find(": ")).unwrap_or(l.len())]).collect();
    assert_eq!(
        places,
        ["n.yaml:2:5: resources[0].kind", "n.yaml:5:7", "n.yaml:7:25", "n.yaml:9:8", "n.yaml:9:13", "n.yaml:10:5",],
        "{said}"
    );
    // A server's faults, too, and such as no place is known of.
    let (_, source) = read("n.yaml", yaml.as_bytes()).expect("readable");
    let fault = |path: &str| Fault { path: path.to_owned(), message: "is wrong".to_owned() };
    assert_eq!(
        source
            .locate(&[
                fault("network.sites[0].time_zone"),
                fault("channels[7].id"),
                fault("network.resources[1].closed")
            ])
            .to_string(),
        "n.yaml:1:1: channels[7].id: is wrong\nn.yaml:4:58: resources[1].closed: is wrong\n\
         n.yaml:7:25: sites[0].time_zone: is wrong"
    );
}

#[test]
fn only_so_many_faults_are_shown() {
    let yaml = format!("sites:\n{}", "  - 7\n".repeat(1_500));
    let faults = read("n.yaml", yaml.as_bytes()).map(|_| ()).expect_err("faults");
    assert_eq!((faults.faults.len(), faults.left_out), (1_000, 500));
    assert!(faults.to_string().ends_with("\nn.yaml: and 500 more faults"));
}

#[test]
fn mutated_files_never_panic() {
    let json = serde_json::to_string_pretty(&parse("a.yaml", GOOD).expect("good")).expect("printable");
    for (file, good) in [("network.yaml", GOOD), ("network.json", &json)] {
        try_many(file, 4_000, good.as_bytes(), |bytes| match read(file, bytes) {
            Ok((network, source)) => {
                if let Err(faults) = from_proto::network(network, NOW) {
                    assert_eq!(source.locate(&faults).faults.len(), faults.len().min(1_000));
                }
            }
            Err(faults) => assert!(!faults.faults.is_empty()),
        });
    }
}

/// What our reader and serde take of a file must mean the same to both; ours may be stricter or more lenient.
#[test]
fn mutated_json_means_what_serde_reads() {
    let good = serde_json::to_string(&parse("a.yaml", GOOD).expect("good")).expect("printable");
    try_many("network.json against serde", 4_000, good.as_bytes(), |bytes| {
        // The library overflows on durations such as --9223372036854775808s.
        if bytes.windows(2).any(|w| w == b"--") {
            return;
        }
        if let (Ok((ours, _)), Ok(theirs)) = (read("network.json", bytes), serde_json::from_slice::<v1::Network>(bytes))
        {
            assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(bytes));
        }
    });
}

/// Run by hand: `cargo test --release --lib large_files -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes in a debug build"]
fn large_files_are_read() {
    let resources = 1_000_000;
    let mut json = "{\"sites\":[{\"id\":\"s\",\"timeZone\":\"UTC\"}],\"resources\":[\n".to_owned();
    let mut yaml = "sites: [{id: s, time_zone: UTC}]\nresources:\n".to_owned();
    for i in 0..resources {
        let end = if i + 1 == resources { "\n]}" } else { ",\n" };
        json.push_str(&format!(
            "{{\"id\":\"warehouse-17.stock.{i:08}\",\"site\":\"s\",\"displayName\":\"Item number {i}\",\"kind\":\"KIND_STOCK\",\
             \"unit\":\"items\",\"horizonDays\":90}}{end}"
        ));
        yaml.push_str(&format!(
            "  - id: warehouse-17.stock.{i:08}\n    site: s\n    display_name: Item number {i}\n    kind: KIND_STOCK\n    unit: items\n"
        ));
    }
    for (file, text) in [("large.json", json), ("large.yaml", yaml)] {
        let begin = std::time::Instant::now();
        let (network, source) = read(file, text.as_bytes()).expect("good");
        assert_eq!(network.resources.len(), resources);
        let after = begin.elapsed();
        let last = Fault { path: format!("resources[{}].unit", resources - 1), message: "is wrong".to_owned() };
        let found = source.locate(&[last]);
        println!(
            "{file}: {} MB read in {after:?}, located in {:?}: {found}",
            text.len() / 1_000_000,
            begin.elapsed() - after
        );
    }
}
