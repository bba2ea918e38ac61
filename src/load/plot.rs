//! Plots as SVG, drawn without fonts of the machine: texts are texts, which the reader's browser sets.

use plotters::coord::Shift;
use plotters::prelude::*;

/// Pixels.
const SIZE: (u32, u32) = (760, 320);
/// Pixels above the plot for the names of its lines.
const LEGEND: i32 = 30;
/// The colours of lines: each tells apart from the others in print, too.
const COLOURS: [RGBColor; 6] = [
    RGBColor(27, 94, 170),
    RGBColor(214, 96, 20),
    RGBColor(40, 140, 70),
    RGBColor(150, 60, 150),
    RGBColor(110, 110, 110),
    RGBColor(190, 160, 20),
];

/// A line with its name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its points, x and y.
    pub points: Vec<(f64, f64)>,
}

/// A plot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plot {
    /// What x is.
    pub x: String,
    /// What y is.
    pub y: String,
    /// The lines.
    pub lines: Vec<Line>,
    /// Whether y grows tenfold at each mark.
    pub log: bool,
    /// Whether x is the number of nines of a percentile: 1 is 90 %, 2 is 99 %.
    pub nines: bool,
}

/// The percentile with so many nines.
fn percentile(nines: f64) -> String {
    let share = 100.0 - 100.0 / 10_f64.powf(nines);
    let digits = if nines > 2.5 { (nines - 2.0).round() as usize } else { 0 };
    format!("{share:.digits$} %")
}

/// A number with no more digits than tell something.
fn short(n: f64) -> String {
    match n.abs() {
        n if n >= 10.0 || n == 0.0 => format!("{n:.0}"),
        n if n >= 1.0 => format!("{n:.1}"),
        n if n >= 0.1 => format!("{n:.2}"),
        n => format!("{n:.3}"),
    }
}

impl Plot {
    /// The plot as an SVG element; None if there is nothing to draw.
    pub fn svg(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|line| &line.points).filter(|(_, y)| !self.log || *y > 0.0);
        let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
        let (right, top) = (most(|p| p.0), most(|p| p.1));
        let low = points().map(|p| p.1).fold(f64::MAX, f64::min);
        if points().count() < 2 || right <= 0.0 || top <= 0.0 {
            return None;
        }
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            self.draw(&area, right, low, top).ok()?;
            area.present().ok()?;
        }
        Some(svg)
    }

    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>, right: f64, low: f64, top: f64) -> Result<(), Drawn> {
        let mut builder = ChartBuilder::on(area);
        builder.margin(10).margin_top(LEGEND).x_label_area_size(42).y_label_area_size(64);
        // The two kinds of axes are two types, which no loop goes over.
        macro_rules! chart {
            ($y:expr) => {{
                let mut chart = builder.build_cartesian_2d(0.0..right, $y).map_err(|_| Drawn)?;
                let x = |n: &f64| if self.nines { percentile(*n) } else { short(*n) };
                let mut mesh = chart.configure_mesh();
                mesh.light_line_style(TRANSPARENT).bold_line_style(BLACK.mix(0.12)).x_labels(8).y_labels(6);
                mesh.x_desc(self.x.as_str())
                    .y_desc(self.y.as_str())
                    .axis_desc_style(("sans-serif", 15))
                    .label_style(("sans-serif", 14));
                mesh.x_label_formatter(&x).y_label_formatter(&|n: &f64| short(*n)).draw().map_err(|_| Drawn)?;
                for (at, line) in self.lines.iter().enumerate() {
                    let colour = COLOURS[at % COLOURS.len()];
                    let points = line.points.iter().filter(|(_, y)| !self.log || *y > 0.0).copied();
                    let series = chart.draw_series(LineSeries::new(points, colour.stroke_width(2)));
                    series.map_err(|_| Drawn)?;
                }
                Ok(())
            }};
        }
        self.draw_legend(area)?;
        if self.log { chart!((low * 0.8..top * 1.25).log_scale()) } else { chart!(0.0..top * 1.1) }
    }
}

impl Plot {
    /// Names in a row above the plot, where they hide nothing.
    fn draw_legend(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Drawn> {
        let mut x = 70;
        for (at, line) in self.lines.iter().enumerate() {
            let style = COLOURS[at % COLOURS.len()].stroke_width(3);
            area.draw(&PathElement::new(vec![(x, LEGEND / 2), (x + 18, LEGEND / 2)], style)).map_err(|_| Drawn)?;
            let name = Text::new(line.name.as_str(), (x + 24, LEGEND / 2 - 7), ("sans-serif", 16));
            area.draw(&name).map_err(|_| Drawn)?;
            // A letter of this size is some seven pixels wide.
            x += 44 + i32::try_from(line.name.chars().count()).unwrap_or(0) * 7;
        }
        Ok(())
    }
}

/// A plot that can't be drawn, which is left out.
struct Drawn;

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(log: bool) -> Plot {
        let line = |name: &str, by: f64| Line {
            name: name.to_owned(),
            points: (0..50).map(|i| (f64::from(i) / 10.0, by * (1.0 + f64::from(i)))).collect(),
        };
        let lines = vec![line("a <b>", 1.0), line("echo", 0.5)];
        Plot { x: "percentile".to_owned(), y: "ms & more".to_owned(), lines, log, nines: log }
    }

    #[test]
    fn a_plot_has_its_lines_names_and_axes_and_escapes_them() {
        for log in [false, true] {
            let svg = plot(log).svg().expect("a plot");
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            assert!(svg.matches("<polyline").count() >= 2, "{svg}");
            assert!(svg.contains("a &lt;b&gt;") && svg.contains("ms &amp; more") && !svg.contains("<b>"), "{svg}");
            assert_eq!(svg.contains("99 %"), log, "{svg}");
        }
    }

    #[test]
    fn nothing_is_no_plot() {
        assert_eq!(Plot::default().svg(), None);
        let flat = Line { name: "flat".to_owned(), points: vec![(0.0, 0.0), (1.0, 0.0)] };
        assert_eq!(Plot { lines: vec![flat], ..Plot::default() }.svg(), None);
    }

    #[test]
    fn percentiles_have_their_nines() {
        assert_eq!([0.0, 1.0, 2.0, 3.0, 4.0].map(percentile), ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }
}
