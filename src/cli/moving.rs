//! `surety export` and `import`: a network, with all that is held of it, out of one store and into another.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::console::Console;
use super::exit::{Exit, Failure, checked};
use super::render;
use super::steward::{self, Absent, Chosen, StewardArgs, open_steward};
use super::store::StoreChoice;
use crate::domain::faults::Faults;
use crate::domain::id::NetworkId;
use crate::ledger::audit;
use crate::ledger::feed::{Cursor, Entry};
use crate::ledger::stewardship::{Holdings, LoadError, Steward};
use crate::ledger::stored_file::{self, Exporter, FileFault, Imported};

/// Entries that are read at a time: some 1.3 MB.
const PAGE: usize = 1_000;
/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// Options of `surety export`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct ExportArgs {
    /// Where to write it; '-' is stdout. A file is whole as soon as it is there
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub steward: StewardArgs,
}

/// Options of `surety import`.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs)]
pub struct ImportArgs {
    /// What `surety export` wrote; '-' is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub steward: StewardArgs,
}

/// What was moved.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// The network.
    pub network: String,
    /// The store that it was in, or is in now.
    pub store: String,
    /// The file; `-` for stdout or stdin.
    pub file: String,
    /// The network's version.
    pub version: i64,
    /// The place in the feed.
    pub cursor: String,
    /// The clock of the ledger that it was in, RFC 3339.
    pub as_of: String,
    /// Buckets.
    pub buckets: u64,
    /// Reservations, live and ended.
    pub reservations: u64,
    /// Adjustments whose request ids are remembered.
    pub adjustments: u64,
    /// Entries of the feed.
    pub entries: u64,
    /// Numbers that an audit finds wrong.
    pub drifts: usize,
}

/// Exports a network.
///
/// # Errors
/// What kept the store away, or the file from being written.
pub async fn export(args: &ExportArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let chosen = args.steward.check(&mut faults);
    let to_stdout = args.file == Path::new("-");
    if to_stdout && io::stdout().is_terminal() {
        faults.add("FILE", "'-' is this terminal, which can't show an export; send it to a file or a program");
    }
    let chosen = checked(faults, chosen)?;
    let steward = open_steward(&chosen, Absent::Refuse).await?;
    let moved = save(&*steward, &chosen, &args.file).await;
    steward.close().await;
    let moved = moved?;
    let text = if args.steward.json {
        serde_json::to_string_pretty(&moved).unwrap_or_default()
    } else {
        render::moving::exported(&moved)
    };
    if to_stdout {
        console.remark(text.trim_end());
    } else {
        console.print(&text)?;
    }
    Ok(Exit::Done)
}

async fn save(steward: &dyn Steward, chosen: &Chosen, file: &Path) -> Result<Moved, Failure> {
    let (store, network) = (&chosen.store, chosen.network());
    let holdings = steward::read(steward, store, &network).await?;
    if holdings.is_empty() {
        let message = format!("nothing was exported: network '{network}' in {store} is empty");
        return Err(Failure::Declined { message });
    }
    let unwritable =
        |error: io::Error| Failure::wrong("the export can't be written", format!("{}: {error}", name(file)));
    // Dropped without being kept, it leaves no file behind.
    let mut target = Target::create(file).map_err(unwritable)?;
    let bar = ProgressBar::no_length().with_style(style("{spinner} {binary_bytes} written, {binary_bytes_per_sec}"));
    let out = BufWriter::with_capacity(BUFFER_BYTES, bar.wrap_write(&mut target));
    let written = async {
        let mut out = Exporter::begin(out, &network, &holdings).map_err(unwritable)?;
        feed(steward, store, &network, holdings.snapshot.seq, |entry| out.entry(entry).map_err(unwritable)).await?;
        out.end().map(|(counts, _)| counts).map_err(unwritable)
    };
    let written = written.await;
    bar.finish_and_clear();
    let counts = written?;
    target.keep().map_err(unwritable)?;
    Ok(Moved::of(&network, store, file, &holdings, counts.entries))
}

/// Hands out the feed up to a place, oldest first. Old entries are dropped while it is read, and what is read first is what is
/// dropped first: a page is handed out only when the next follows it.
async fn feed(
    steward: &dyn Steward,
    store: &StoreChoice,
    network: &NetworkId,
    until: Cursor,
    mut hand_out: impl FnMut(&Entry) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let page = async |after: Cursor| -> Result<Vec<Arc<Entry>>, Failure> {
        let mut page = steward.entries(network, after, PAGE).await.map_err(|e| steward::failed(store, &e))?;
        page.retain(|entry| entry.seq <= until);
        Ok(page)
    };
    let mut begun = false;
    let mut held = page(0).await?;
    while let Some(last) = held.last().map(|entry| entry.seq) {
        let next = if last < until { page(last).await? } else { Vec::new() };
        let follows = last == until || next.first().is_some_and(|entry| entry.seq == last + 1);
        if follows {
            held.iter().try_for_each(|entry| hand_out(entry))?;
            begun = true;
        } else if begun || next.is_empty() {
            let message = format!("{store}: the feed of '{network}' was cut behind entry {last} while it was read");
            return Err(Failure::Declined { message });
        }
        held = next;
    }
    Ok(())
}

/// Imports a network.
///
/// # Errors
/// What is wrong with the file, why the store refused, or what kept it away.
pub async fn import(args: &ImportArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut faults = Faults::new();
    let chosen = args.steward.check(&mut faults);
    let chosen = checked(faults, chosen)?;
    let wrong = |fault: &FileFault| Failure::wrong("nothing was imported", format!("{}: {fault}", name(&args.file)));
    let bar = ProgressBar::no_length().with_style(style("{spinner} {binary_bytes} read, {binary_bytes_per_sec}"));
    let input = bar.wrap_read(input(&args.file, &bar)?);
    let Imported { network, holdings, entries } = stored_file::read(input).map_err(|fault| wrong(&fault))?;
    let network = chosen.network.clone().unwrap_or(network);

    let read = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&read);
    let entries = Box::new(entries.inspect(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    let mut moved = Moved::of(&network, &chosen.store, &args.file, &holdings, 0);

    let steward = open_steward(&chosen, Absent::Make).await?;
    let loaded = steward.load_all(&network, holdings, entries).await;
    steward.close().await;
    bar.finish_and_clear();
    loaded.map_err(|error| match error {
        LoadError::Source(fault) => wrong(&fault),
        LoadError::NotEmpty { .. } => {
            let message = format!(
                "nothing was imported into network '{network}' of {}: {error}; name another store or --in-network",
                chosen.store
            );
            Failure::Declined { message }
        }
        LoadError::Ledger(error) => steward::failed(&chosen.store, &error),
    })?;
    moved.entries = read.load(Ordering::Relaxed);
    if args.steward.json {
        console.print_json(&moved)?;
    } else {
        console.print(&render::moving::imported(&moved))?;
    }
    Ok(Exit::Done)
}

impl Moved {
    fn of(network: &NetworkId, store: &StoreChoice, file: &Path, holdings: &Holdings, entries: u64) -> Moved {
        let Holdings { snapshot, now, reservations, adjustments, tallies: _ } = holdings;
        Moved {
            network: network.to_string(),
            store: store.to_string(),
            file: file.display().to_string(),
            version: snapshot.network_version,
            cursor: snapshot.seq.to_string(),
            as_of: now.to_string(),
            buckets: snapshot.buckets.iter().map(|(_, levels)| levels.len() as u64).sum(),
            reservations: reservations.len() as u64,
            adjustments: adjustments.len() as u64,
            entries,
            drifts: audit::audit(holdings, |_, _| None).drifts.len(),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn name(file: &Path) -> String {
    if file == Path::new("-") { "stdin or stdout".to_owned() } else { file.display().to_string() }
}

/// Opens what is imported, and tells the bar how long it is, if that is known.
fn input(file: &Path, bar: &ProgressBar) -> Result<Box<dyn Read + Send>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, io::stdin())));
    }
    let opened =
        File::open(file).map_err(|error| Failure::wrong("a file can't be read", format!("{}: {error}", name(file))))?;
    if let Ok(about) = opened.metadata()
        && about.is_file()
    {
        bar.set_length(about.len());
        bar.set_style(style("{bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"));
    }
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, opened)))
}

/// Where an export goes. A file is written aside and moved into its place when it is whole.
enum Target {
    /// The program's output, or a device or pipe: there is nothing to move.
    Through(Box<dyn Write + Send>),
    /// A file.
    Aside { file: File, part: PathBuf, to: PathBuf, kept: bool },
}

impl Target {
    fn create(to: &Path) -> io::Result<Target> {
        if to == Path::new("-") {
            return Ok(Target::Through(Box::new(io::stdout())));
        }
        if fs::metadata(to).is_ok_and(|about| !about.is_file() && !about.is_dir()) {
            return Ok(Target::Through(Box::new(File::options().write(true).open(to)?)));
        }
        if to.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder; name a file"));
        }
        let mut part = to.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        Ok(Target::Aside { file: File::create(&part)?, part, to: to.to_owned(), kept: false })
    }

    /// Makes what was written durable, and shows it under its name.
    fn keep(mut self) -> io::Result<()> {
        match &mut self {
            Target::Through(out) => out.flush(),
            Target::Aside { file, part, to, kept } => {
                file.sync_all()?;
                fs::rename(&*part, &*to)?;
                *kept = true;
                match to.parent() {
                    Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
                    _ => File::open(".")?.sync_all(),
                }
            }
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Target::Aside { part, kept: false, .. } = self {
            // If it can't be removed either, it is still no whole file under the name that was asked for.
            let _ = fs::remove_file(part);
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Target::Through(out) => out.write(bytes),
            Target::Aside { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Target::Through(out) => out.flush(),
            Target::Aside { file, .. } => file.flush(),
        }
    }
}
