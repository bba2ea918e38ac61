//! The report as one page that needs nothing else: no scripts, no fonts, nothing to fetch.

use std::fmt::Write;

use super::plot::{Line, Plot};
use super::report::{Checked, Report};
use super::run::Driven;
use super::tables::Words;

/// How the page looks; wide tables scroll on narrow screens, and print is black on white.
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;\
    background:#fff}h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}.wide{overflow-x:auto}\
    table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.2rem .7rem;text-align:left;\
    border-bottom:1px solid #ddd;white-space:nowrap}th{font-weight:600;font-size:.8rem;color:#555}.n{text-align:right}\
    dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dt{color:#555}dd{margin:0}svg{max-width:100%;\
    height:auto}.good{border-left:.3rem solid #2a8c46;padding-left:.8rem}.bad{border-left:.3rem solid #c22;padding-left:.8rem}";

/// Text as HTML.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

/// The page.
pub fn page(report: &Report) -> String {
    let mut html = String::from("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    let title = format!("surety load, {}", report.begun);
    let _ = write!(html, "<title>{}</title><style>{STYLE}</style></head><body>", escaped(&title));
    let _ = write!(html, "<h1>{}</h1><dl>", escaped(&title));
    for (name, value) in report.facts() {
        let _ = write!(html, "<dt>{name}</dt><dd>{}</dd>", escaped(&value));
    }
    html.push_str("</dl>");
    let class = match &report.checked {
        Checked::Made(_) if !report.violated() => "good",
        Checked::Made(_) | Checked::NotMade(_) => "bad",
    };
    for sentence in report.verdict() {
        let _ = write!(html, "<p class=\"{class}\">{}</p>", escaped(&sentence));
    }
    for sentence in report.remarks() {
        let _ = write!(html, "<p>{}</p>", escaped(&sentence));
    }
    report.tables().iter().for_each(|table| html.push_str(&table_html(table)));
    for (title, plot) in plots(report) {
        if let Some(svg) = plot.svg() {
            let _ = write!(html, "<h2>{}</h2>{svg}", escaped(title));
        }
    }
    html.push_str("</body></html>\n");
    html
}

fn table_html(table: &Words) -> String {
    let mut html = format!("<h2>{}</h2><div class=\"wide\"><table><thead><tr>", escaped(&table.title));
    let class = |at: usize| if table.heads[at].starts_with('>') { " class=\"n\"" } else { "" };
    for (at, head) in table.heads.iter().enumerate() {
        let _ = write!(html, "<th{}>{}</th>", class(at), escaped(head.trim_start_matches('>')));
    }
    html.push_str("</tr></thead><tbody>");
    for row in &table.rows {
        html.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let _ = write!(html, "<td{}>{}</td>", class(at), escaped(cell));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
    html
}

/// The plots of a report.
pub fn plots(report: &Report) -> Vec<(&'static str, Plot)> {
    let over = |x: &str, y: &str, log: bool, nines: bool, lines: Vec<Line>| Plot {
        x: x.to_owned(),
        y: y.to_owned(),
        log,
        nines,
        lines,
    };
    let driven = || report.driven.iter().filter(|driven| !driven.rounds.is_empty());
    let time = "seconds measured, round after round";
    let mut over_time = Vec::new();
    for driven in driven() {
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            over_time.push(Line { name: format!("{} {name}", driven.name), points: latencies(driven, share) });
        }
    }
    let rates = driven().map(|driven| Line { name: driven.name.to_owned(), points: rates(driven) }).collect();
    let mut plots = vec![
        ("Latency by percentile", over("calls answered within", "milliseconds", true, true, by_percentile(report))),
        ("Answers a second over time", over(time, "answers a second", false, false, rates)),
        ("Latency over time", over(time, "milliseconds", true, false, over_time)),
    ];
    plots.push((
        "Latency at each rate of the search",
        over("calls a second", "p99, milliseconds", true, false, steps(report)),
    ));
    plots
}

/// For each kind of calls, the latency at each share of them, told by its nines.
fn by_percentile(report: &Report) -> Vec<Line> {
    let mut lines = Vec::new();
    for (kind, measured) in report.driven.iter().flat_map(|driven| driven.sheet().kinds) {
        let calls = measured.latencies.len() as f64;
        // No more nines than there are calls to tell them by.
        let last = calls.log10().clamp(0.0, 5.0);
        let at = |nines: f64| measured.at(1.0 - 10_f64.powf(-nines)).as_secs_f64() * 1e3;
        let points = (0..=100).map(|i| last * f64::from(i) / 100.0).map(|nines| (nines, at(nines))).collect();
        lines.push(Line { name: kind.name().to_owned(), points });
    }
    lines
}

/// Points of each slice of each round, one round after the other.
fn over_time(driven: &Driven, of: impl Fn(&super::measured::Slice, f64) -> Option<f64>) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    let mut begun = 0.0;
    for round in &driven.rounds {
        let (length, lasted) = (round.slice.as_secs_f64(), round.lasted.as_secs_f64());
        for (at, slice) in round.sheet.slices.iter().enumerate() {
            let from = at as f64 * length;
            // The last slice may be cut short; a sliver of one tells nothing.
            let length = length.min(lasted - from);
            if length > round.slice.as_secs_f64() / 2.0 {
                points.extend(of(slice, length).map(|y| (begun + from + length / 2.0, y)));
            }
        }
        begun += lasted;
    }
    points
}

fn rates(driven: &Driven) -> Vec<(f64, f64)> {
    over_time(driven, |slice, length| Some(slice.answers as f64 / length))
}

fn latencies(driven: &Driven, share: f64) -> Vec<(f64, f64)> {
    over_time(driven, |slice, _| {
        (!slice.latencies.is_empty()).then(|| slice.latencies.value_at_quantile(share) as f64 / 1e3)
    })
}

fn steps(report: &Report) -> Vec<Line> {
    let line = |searched: &super::run::Searched| {
        let mut points: Vec<(f64, f64)> =
            searched.found.steps.iter().map(|step| (step.rate, step.p99.as_secs_f64() * 1e3)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Line { name: searched.name.to_owned(), points }
    };
    report.searched.iter().map(line).collect()
}
