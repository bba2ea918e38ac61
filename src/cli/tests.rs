//! Words of the command line: what they come to, and every fault that is found in them.

use std::collections::BTreeMap;

use super::client::Patience;
use super::exit::Failure;
use super::store::StoreChoice;
use super::*;
use crate::domain::faults::Faults;
use crate::proto::v1::{self, ask::When, destination::To};
use crate::server::History;

fn parsed(words: &str) -> Command {
    parse(std::iter::once("surety").chain(words.split_whitespace())).unwrap_or_else(|error| panic!("{error}")).command
}

fn quote_request(words: &str) -> Result<v1::QuoteRequest, Vec<String>> {
    let Command::Quote(args) = parsed(&format!("quote --time-zone Europe/Berlin {words}")) else { panic!() };
    match args.check() {
        Ok((request, _)) => Ok(request),
        Err(Failure::Wrong { faults, .. }) => Err(faults),
        Err(other) => panic!("{other:?}"),
    }
}

fn ask(words: &str) -> v1::Ask {
    quote_request(words).unwrap_or_else(|faults| panic!("{words}: {faults:#?}")).ask.unwrap()
}

#[test]
fn the_grammar_is_sound() {
    command().debug_assert();
}

/// Every option has help and a variable SURETY_..., and the same option has the same one everywhere.
#[test]
fn every_option_has_help_and_one_environment_variable() {
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    let whole = command();
    let nested = whole.get_subcommands().flat_map(clap::Command::get_subcommands);
    for command in whole.get_subcommands().chain(nested) {
        assert!(command.get_about().is_some(), "{} says what it does", command.get_name());
        for option in command.get_arguments() {
            let Some(long) = option.get_long().filter(|long| !["help", "version"].contains(long)) else { continue };
            let name = format!("{} --{long}", command.get_name());
            assert!(option.get_help().is_some_and(|help| !help.to_string().is_empty()), "{name} has no help");
            let variable = option.get_env().unwrap_or_else(|| panic!("{name} has no variable")).to_str().unwrap();
            assert_eq!(variable, format!("SURETY_{}", long.to_uppercase().replace('-', "_")), "{name}");
            assert_eq!(variables.entry(long.to_owned()).or_insert_with(|| variable.to_owned()), variable, "{name}");
            assert!(option.is_hide_env_values_set(), "{name}: help shows no values of the environment");
        }
    }
    assert!(variables.len() > 40, "{variables:?}");
}

#[test]
fn lines_come_in_pairs_or_in_one_word() {
    let lines = |words: &str| {
        let lines = ask(&format!("--zone z {words}")).lines;
        lines.into_iter().map(|line| format!("{}={}", line.sku, line.quantity)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(lines("--sku a"), "a=1");
    assert_eq!(lines("--sku a --quantity 3"), "a=3");
    assert_eq!(lines("--sku a --quantity 3 --sku b --quantity 1000000"), "a=3 b=1000000");
    assert_eq!(lines("--sku a --sku b"), "a=1 b=1");
    assert_eq!(lines("--line a=2 --line x=y=4"), "a=2 x=y=4");
    assert_eq!(lines("--line a=2 --sku b"), "b=1 a=2");
}

#[test]
fn destinations_are_zones_or_addresses() {
    let to = |words: &str| ask(&format!("--sku a {words}")).destination.unwrap().to.unwrap();
    let address = |country: &str, code: &str| {
        To::Address(v1::Address { country: country.to_owned(), postal_code: code.to_owned() })
    };
    assert_eq!(to("--zone de-south"), To::Zone("de-south".to_owned()));
    assert_eq!(to("--country de --postal-code 80331"), address("DE", "80331"));
    assert_eq!(to("--country DE"), address("DE", ""));
}

#[test]
fn dates_and_instants_are_one_of_four() {
    let when = |words: &str| ask(&format!("--sku a --zone z {words}")).when;
    let at = |text: &str| values::to_proto(text.parse().unwrap());
    assert_eq!(when(""), None);
    assert_eq!(when("--by 2026-12-24"), Some(When::ByDate("2026-12-24".to_owned())));
    assert_eq!(when("--on 2026-12-24"), Some(When::OnDate("2026-12-24".to_owned())));
    let six = at("2026-12-24T17:00:00Z");
    assert_eq!(when("--by-time 2026-12-24T18:00:00+01:00"), Some(When::ByTime(six)));
    assert_eq!(when("--by-time 2026-12-24T18:00"), Some(When::ByTime(six)), "local times are those of --time-zone");
    let window = v1::Window { from: Some(six), to: Some(at("2026-12-24T19:00:00Z")) };
    assert_eq!(when("--from 2026-12-24T18:00 --to 2026-12-24T20:00"), Some(When::InWindow(window)));
}

#[test]
fn all_of_a_request_can_be_said() {
    let id = "6f1c2a9e-3b54-4c0e-9d1f-0a7c52d0e8b1";
    let request = quote_request(&format!(
        "--sku a --zone z --hold 15m --accept-later --request-id {id} --reference cart-7 --service express \
         --channel vip --offer bf26 --split"
    ))
    .unwrap();
    let ask = request.ask.clone().unwrap();
    assert_eq!(request.request_id, id);
    assert_eq!(request.hold, Some(pbjson_types::Duration { seconds: 900, nanos: 0 }));
    assert!(request.accept_later);
    assert_eq!(request.reference, "cart-7");
    assert_eq!((&*ask.service, &*ask.channel, &*ask.offer), ("express", "vip", "bf26"));
    assert_eq!(ask.shipments(), v1::ask::Shipments::Split);
}

#[test]
fn a_hold_without_a_name_gets_a_new_one_each_time() {
    let id = |words: &str| quote_request(&format!("--sku a --zone z {words}")).unwrap().request_id;
    assert_eq!(id(""), "", "what takes nothing needs no name");
    let made = id("--hold 15m");
    assert!(uuid::Uuid::try_parse(&made).is_ok_and(|id| id.get_version_num() == 4), "{made}");
    assert_ne!(made, id("--hold 15m"));
}

#[test]
fn all_faults_of_a_question_are_told_at_once() {
    let table: &[(&str, &[&str])] = &[
        ("--zone z", &["--sku: is missing; say what is wanted with --sku SKU --quantity N, or --line SKU=N"]),
        ("--sku a", &["--zone: is missing; say where with --zone, or --country and --postal-code"]),
        ("--sku a --zone z --country DE", &["--zone: is given with an address; give one of the two"]),
        ("--sku a --postal-code 80331", &["--country: is missing; a postal code means nothing without"]),
        ("--sku a --country Germany", &["--country: 'Germany' is not a country; write two letters, DE"]),
        (
            "--sku a --sku b --quantity 1 --zone z",
            &["--quantity: 1 given for 2 --sku; give one for each, or none at all"],
        ),
        (
            "--sku a --quantity 0 --zone z",
            &["--quantity: '0' is not a quantity; write a whole number from 1 to 1000000"],
        ),
        (
            "--sku a --quantity -1 --zone z",
            &["--quantity: '-1' is not a quantity; write a whole number from 1 to 1000000"],
        ),
        ("--line a --zone z", &["--line: 'a' is not a line; write SKU=N"]),
        ("--line =3 --zone z", &["--line: '=3' is not a line; write SKU=N"]),
        ("--sku a --zone z --by 2026-02-30", &["--by: '2026-02-30' is not a day of the calendar"]),
        ("--sku a --zone z --by 2026-12-01 --on 2026-12-01", &["--by: is given with --on; give one of them"]),
        ("--sku a --zone z --from 2026-12-24T18:00", &["--to: is missing; a slot has a beginning and an end"]),
        (
            "--sku a --zone z --from 2026-12-24T18:00 --to 2026-12-24T18:00",
            &["--to: is not after --from; a slot has a length"],
        ),
        ("--sku a --zone z --hold 8d", &["--hold: '8d' is no length of a hold; write 1s to 7d"]),
        ("--sku a --zone z --hold 999ms", &["--hold: '999ms' is no length of a hold; write 1s to 7d"]),
        ("--sku a --zone z --hold soon", &["--hold: 'soon' is not a length of time; write 90s, 15m, 2h or 7d"]),
        (
            "--sku a --zone z --request-id cart-7",
            &[
                "--request-id: 'cart-7' is not a UUID; write one like 6f1c2a9e-3b54-4c0e-9d1f-0a7c52d0e8b1, or leave it out",
            ],
        ),
        (
            "--quantity 1 --by tomorrow --hold 1y --server localhost --timeout 0s",
            &[
                "--timeout: is no time at all; write 500ms, 10s or 2m",
                "--server: 'localhost' is not the address of a server; write http://HOST:PORT",
                "--by: 'tomorrow' is not a date; write YYYY-MM-DD",
                "--quantity: 1 given for 0 --sku; give one for each, or none at all",
                "--sku: is missing; say what is wanted with --sku SKU --quantity N, or --line SKU=N",
                "--zone: is missing; say where with --zone, or --country and --postal-code",
                "--hold: '1y' is not a length of time; write 90s, 15m, 2h or 7d",
            ],
        ),
    ];
    for (words, faults) in table {
        assert_eq!(quote_request(words).unwrap_err(), *faults, "{words}");
    }
}

#[test]
fn servers_networks_and_deadlines_are_checked() {
    let faults_of = |words: &str| {
        let Command::Show(args) = parsed(&format!("show some-id {words}")) else { panic!() };
        let mut faults = Faults::new();
        let caller = args.client.check(Patience::Question, &mut faults);
        assert_eq!(caller.is_none(), faults.into_vec().iter().any(|f| f.path == "--server"), "{words}");
        let mut faults = Faults::new();
        args.client.check(Patience::Question, &mut faults);
        faults.into_vec().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for good in ["", "--server http://[::1]:7070", "--server http://shop.example/", "--in-network eu", "--timeout 2m"] {
        assert_eq!(faults_of(good), [""; 0], "{good}");
    }
    for bad in [
        "--server http://",
        "--server ftp://x:1",
        "--server https://x:1",
        "--server http://x:1/path",
        "--server x:1",
        "--timeout 10",
        "--in-network größe",
        "--time-zone Mars",
    ] {
        assert_eq!(faults_of(bad).len(), 1, "{bad}: {:?}", faults_of(bad));
    }
}

fn serve(words: &str) -> Result<serve::ServeOptions, Vec<String>> {
    let Command::Serve(args) = parsed(&format!("serve {words}")) else { panic!() };
    let mut faults = Faults::new();
    let options = args.check(|_| None, &mut faults);
    let faults = faults.into_vec();
    if faults.is_empty() { Ok(options.unwrap()) } else { Err(faults.iter().map(ToString::to_string).collect()) }
}

#[test]
fn a_service_has_defaults_for_everything() {
    let options = serve("--store memory:").unwrap();
    assert_eq!(options.listen.to_string(), "127.0.0.1:7070");
    assert_eq!(options.store, StoreChoice::Memory);
    assert_eq!((options.max_in_flight, options.max_streams), (4_096, 10_000));
    assert_eq!(options.stop_notice, std::time::Duration::from_secs(1));
    assert_eq!(options.stale_reads, std::time::Duration::from_secs(30));
    assert_eq!((options.clock, options.threads, options.otlp_endpoint), (None, None, None));
    assert!(!options.log_json);
    assert_eq!(options.history, History::default());
}

#[test]
fn a_service_is_told_what_it_remembers() {
    let history =
        serve("--store embedded:/x --keep-events 500 --keep-events-for 2d --remember-for 90d").unwrap().history;
    let days = |n: u64| std::time::Duration::from_secs(n * 24 * 3_600);
    assert_eq!(history, History { events: Some(500), events_for: Some(days(2)), ended_for: Some(days(90)) });
    // Redis trims its feed by number alone.
    let faults = serve("--store redis://h:1 --keep-events-for 2d").unwrap_err();
    assert!(faults.len() == 1 && faults[0].starts_with("--keep-events-for: is not for Redis"), "{faults:?}");
}

#[test]
fn a_service_is_told_all_of_its_faults_at_once() {
    let words = "--listen 7070 --store disk:/x --clock 2026-12-01 --threads 0 --max-in-flight 0 --max-streams many \
                 --stale-reads never --drain-timeout 5 --stop-notice soon --log-format xml --log-filter a=b=c --otlp-endpoint https://c:4317 \
                 --trace-sample-ratio 2 --metric-interval 0s --keep-events 0 --keep-events-for long --remember-for 0s";
    let faults = serve(words).unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.split(':').next().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "--listen",
            "--store",
            "--clock",
            "--threads",
            "--max-in-flight",
            "--max-streams",
            "--stale-reads",
            "--drain-timeout",
            "--stop-notice",
            "--metric-interval",
            "--log-format",
            "--log-filter",
            "--otlp-endpoint",
            "--trace-sample-ratio",
            "--keep-events",
            "--keep-events-for",
            "--remember-for",
        ],
        "{faults:#?}"
    );
    let one_by_one =
        ["--listen localhost:0", "--listen [::1]:7070", "--clock 2026-12-01T09:00:00Z", "--stop-notice 5s"];
    for good in one_by_one.iter().chain(&["--stale-reads 0s"]) {
        assert!(serve(&format!("--store memory: {good}")).is_ok(), "{good}");
    }
}

#[test]
fn the_standard_variable_of_opentelemetry_is_heard() {
    let Command::Serve(args) = parsed("serve --store memory:") else { panic!() };
    let mut faults = Faults::new();
    let standard = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://c:4317".to_owned());
    let options = args.check(standard, &mut faults).unwrap();
    assert_eq!(options.otlp_endpoint.as_deref(), Some("http://c:4317"));
}

#[test]
fn replays_and_demonstrations_are_checked() {
    let Command::Replay(args) = parsed("replay --network n --orders o --refuse-later --limit 5") else { panic!() };
    let options = args.check().unwrap();
    assert!(!options.accept_later);
    assert_eq!((options.limit, options.top), (Some(5), 10));
    let Command::Replay(args) = parsed("replay --network n --orders o --limit 0 --top x --clock now") else { panic!() };
    let Err(Failure::Wrong { faults, .. }) = args.check() else { panic!() };
    assert_eq!(faults.len(), 3, "{faults:?}");
    let Command::Demo(args) = parsed("demo --listen 127.0.0.1:0 --fast --once") else { panic!() };
    let options = args.check().unwrap();
    assert!(options.fast && options.once && options.listen.port() == 0);
}

#[test]
fn what_clap_finds_wrong_ends_with_2_and_help_with_0() {
    for words in ["", "fly", "quote --colour red", "show", "confirm", "replay", "reservations --state lost"] {
        let error = parse(std::iter::once("surety").chain(words.split_whitespace())).unwrap_err();
        assert!(error.use_stderr(), "{words}");
        assert_eq!(error.exit_code(), 2, "{words}");
    }
    for words in ["--help", "quote --help", "--version", "help serve"] {
        let error = parse(std::iter::once("surety").chain(words.split_whitespace())).unwrap_err();
        assert_eq!(error.exit_code(), 0, "{words}");
    }
}

/// What exclude each other on the command line are a fault; what the environment says gives way.
#[test]
fn the_command_line_comes_before_the_environment() {
    // The process's environment is shared by all tests: the variables are told to clap as a child process would see them.
    if std::env::var_os("SURETY_TEST_CHILD").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cli::tests::the_command_line_comes_before_the_environment", "--nocapture"])
            .envs([
                ("SURETY_TEST_CHILD", "1"),
                ("SURETY_BY", "2026-12-01"),
                ("SURETY_ZONE", "from-the-environment"),
                ("SURETY_SKU", "env-sku"),
                ("SURETY_JSON", "yes"),
                ("SURETY_SPLIT", ""),
                ("SURETY_SERVER", "http://127.0.0.1:9"),
            ])
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let all = ask("");
    assert_eq!(all.when, Some(When::ByDate("2026-12-01".to_owned())));
    assert_eq!(all.lines[0].sku, "env-sku");
    assert_eq!(all.shipments(), v1::ask::Shipments::Unspecified);
    assert_eq!(all.destination.unwrap().to, Some(To::Zone("from-the-environment".to_owned())));
    let other = ask("--on 2026-12-02 --country DE --line a=2");
    assert_eq!(other.when, Some(When::OnDate("2026-12-02".to_owned())));
    assert_eq!(other.lines.len(), 1);
    assert!(matches!(other.destination.unwrap().to, Some(To::Address(_))));
    assert_eq!(ask("--quantity 5").lines[0].quantity, 5, "options that belong together add up");
    let Command::Show(args) = parsed("show x") else { panic!() };
    assert!(args.client.json);
    assert_eq!(args.client.server, "http://127.0.0.1:9");
}
