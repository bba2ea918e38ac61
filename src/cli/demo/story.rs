//! The story that the demonstration plays: every command that it shows is carried out as it stands, by the command line's own
//! code, against the service over gRPC.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use uuid::Uuid;

use crate::cli::console::Console;
use crate::cli::exit::Failure;
use crate::cli::render::{FAINT, STRONG, paint};
use crate::cli::{call, parse};
use crate::clock::Clock;

/// How wide the words of the story are set.
const WIDTH: usize = 96;

/// The story, and what it is played with.
pub struct Story<'a> {
    /// The service.
    pub server: &'a str,
    /// Where calls are made.
    pub runtime: &'a tokio::runtime::Runtime,
    /// Time to read a scene.
    pub pause: Duration,
    /// The service's clock.
    pub clock: &'a Arc<crate::clock::SystemClock>,
}

impl Story<'_> {
    /// Plays it.
    ///
    /// # Errors
    /// The output is closed, or a scene could not be played at all; a "no" is part of the story.
    pub fn tell(&self, console: &mut Console<'_>) -> Result<(), Failure> {
        let (order, first, second) = (id(), id(), id());
        console.print(&words(
            "It is Tuesday, 1 December 2026, 09:00 in Leipzig. A gift shop has a warehouse there, a courier with two \
             services, and a machine that engraves mugs. Surety holds what they can do; you see its answers to questions \
             that a shop's pages and its people ask.",
        ))?;

        self.scene(console, "1. A date for the product page", "Nothing is taken: a product page only looks.")?;
        self.command(console, "quote --sku mug-white --quantity 2 --zone de-south")?;

        self.scene(
            console,
            "2. At the checkout: by Thursday, and hold it",
            "The answer and the reservation are one step. The capacity behind it - stock, picking, packing, the courier's \
             parcel - is held for 15 minutes while the customer pays.",
        )?;
        self.command(
            console,
            &format!(
                "quote --sku mug-white --quantity 2 --zone de-south --by 2026-12-03 --hold 15m --request-id {order}"
            ),
        )?;

        self.scene(console, "3. Paid", "From here on it does not expire.")?;
        self.command(console, &format!("confirm {order}"))?;

        self.scene(
            console,
            "4. Two shoppers, one lantern",
            "One lantern is left, and two shoppers press the button at the same instant. Exactly one of them gets it; the other \
             is told when the next ones come, what was missing, and what there is instead.",
        )?;
        let ask = "quote --sku lantern --quantity 1 --zone at --by 2026-12-04 --hold 15m --request-id";
        self.race(console, [("Ann", format!("{ask} {first}")), ("Ben", format!("{ask} {second}"))])?;

        self.scene(
            console,
            "5. A no with its reasons",
            "Fifty blue mugs by Saturday: 40 are there. A no says why, when it would work, and what can be had by Saturday.",
        )?;
        self.command(console, "quote --sku mug-blue --quantity 50 --zone de-north --by 2026-12-05")?;

        self.scene(console, "6. What operations see", "The courier's express parcels on the days before Christmas.")?;
        self.command(console, "buckets --resource lej.express --from 2026-12-22 --days 4")
    }

    fn scene(&self, console: &mut Console<'_>, title: &str, text: &str) -> Result<(), Failure> {
        std::thread::sleep(self.pause);
        console.print(&format!("\n{}\n{}", paint(STRONG, title), words(text)))
    }

    fn command(&self, console: &mut Console<'_>, line: &str) -> Result<(), Failure> {
        console.print(&format!("\n{}\n", paint(FAINT, &format!("$ surety {line}"))))?;
        self.carry_out(console, line)
    }

    fn carry_out(&self, console: &mut Console<'_>, line: &str) -> Result<(), Failure> {
        let parsed = parse(self.arguments(line));
        let cli = parsed.map_err(|error| Failure::wrong("the story has a command that is none", error.to_string()))?;
        match self.runtime.block_on(call(cli.command, console)) {
            // A "no" has been printed like a "yes".
            Ok(_) => Ok(()),
            Err(failure) => {
                console.complain(&failure, false);
                Err(failure)
            }
        }
    }

    fn arguments(&self, line: &str) -> Vec<String> {
        let words = ["surety"].into_iter().chain(line.split(' ')).map(str::to_owned);
        words.chain(["--server".to_owned(), self.server.to_owned(), "--time-zone=Europe/Berlin".to_owned()]).collect()
    }

    /// Two callers wait for each other, then ask at once; what each was told is shown one after the other.
    fn race(&self, console: &mut Console<'_>, shoppers: [(&str, String); 2]) -> Result<(), Failure> {
        let start = Barrier::new(shoppers.len());
        let told: Vec<(&str, &str, Result<String, Failure>)> = std::thread::scope(|scope| {
            let asking: Vec<_> = shoppers
                .iter()
                .map(|(name, line)| {
                    let start = &start;
                    let asked = scope.spawn(move || {
                        let (mut out, mut err) = (Vec::new(), Vec::new());
                        let mut own = Console::new(&mut out, &mut err, self.clock.as_ref() as &dyn Clock);
                        start.wait();
                        let done = self.carry_out(&mut own, line);
                        done.map(|()| String::from_utf8_lossy(&out).into_owned())
                    });
                    (*name, line.as_str(), asked)
                })
                .collect();
            asking
                .into_iter()
                .map(|(name, line, asked)| {
                    let lost = || Err(Failure::wrong("the race could not be run", "a shopper got lost"));
                    (name, line, asked.join().unwrap_or_else(|_| lost()))
                })
                .collect()
        });
        for (name, line, answer) in told {
            let heading = format!("{}  {}", paint(STRONG, name), paint(FAINT, &format!("$ surety {line}")));
            console.print(&format!("\n{heading}\n\n{}", answer?.trim_end()))?;
        }
        Ok(())
    }
}

/// What the reader may do now.
pub fn invitation(server: &str) -> String {
    let told = words(
        "That was the story. The service stays up for your own questions; ask them in a second terminal, and stop it here \
         with Ctrl-C. The shop's products, zones and people are in examples/shop.",
    );
    let surety = "cargo run --release --";
    let server = if server.ends_with(":7070") { String::new() } else { format!(" --server {server}") };
    format!(
        "\n{}\n{told}\n\n  {surety} quote --sku mug-engraved --quantity 100 --zone de-east{server}\n  \
         {surety} dates --sku tea-sampler --quantity 1 --zone de-south --days 7{server}\n  \
         {surety} quote --sku mug-blue --quantity 7 --country AT --postal-code 1010{server}\n  \
         {surety} events{server}\n  {surety} --help",
        paint(STRONG, "Your turn")
    )
}

fn id() -> String {
    Uuid::new_v4().to_string()
}

/// Text in lines of [`WIDTH`].
fn words(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + 1 + word.len() > WIDTH {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines.join("\n")
}
