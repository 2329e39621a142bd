//! Lines in an SVG, and no more than that.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 570.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 360.0;
const COLOURS: [&str; 5] = ["#0b62a4", "#d95f02", "#1b9e77", "#7570b3", "#444444"];

/// One curve.
pub struct Line {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

/// Two axes, from zero, or both in powers of ten.
pub struct Plot {
    pub title: &'static str,
    pub is_logarithmic: bool,
}

/// One axis: what is at its two ends, as it is drawn.
struct Axis {
    from: f64,
    to: f64,
    is_logarithmic: bool,
}

impl Axis {
    fn over(values: &[f64], is_logarithmic: bool) -> Axis {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        match is_logarithmic {
            true => Axis { from: least.log10().floor(), to: most.log10().ceil(), is_logarithmic },
            false => {
                let step = step(most);
                Axis { from: 0.0, to: (most / step).ceil() * step, is_logarithmic }
            }
        }
    }

    /// From 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let value = if self.is_logarithmic { value.log10() } else { value };
        (value - self.from) / (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        let step = if self.is_logarithmic { 1.0 } else { step(self.to) };
        let count = ((self.to - self.from) / step).round() as usize;
        let at = (0..=count).map(|index| self.from + step * index as f64);
        at.map(|at| if self.is_logarithmic { 10_f64.powf(at) } else { at }).collect()
    }
}

/// A round number, four to ten of which make the whole.
fn step(most: f64) -> f64 {
    let power = 10_f64.powf(most.log10().floor());
    [0.1, 0.2, 0.5, 1.0].iter().map(|part| part * power).find(|step| most / step <= 10.0).unwrap_or(power)
}

impl Plot {
    pub fn svg(&self, lines: &[Line]) -> String {
        let all =
            |of: fn(&(f64, f64)) -> f64| lines.iter().flat_map(|line| line.points.iter().map(of)).collect::<Vec<_>>();
        let across = Axis::over(&all(|point| point.0), self.is_logarithmic);
        let up = Axis::over(&all(|point| point.1), self.is_logarithmic);
        let x = |value: f64| LEFT + across.place(value) * (RIGHT - LEFT);
        let y = |value: f64| BOTTOM - up.place(value) * (BOTTOM - TOP);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"24\" font-size=\"14\">{}</text>\n",
            self.title
        );
        let mut put = |piece: String| text.push_str(&piece);
        for tick in across.ticks() {
            let at = x(tick);
            put(format!("<path d=\"M{at:.1} {TOP}V{BOTTOM}\" stroke=\"#ddd\"/>\n"));
            put(format!("<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>\n", BOTTOM + 18.0));
        }
        for tick in up.ticks() {
            let at = y(tick);
            put(format!("<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#ddd\"/>\n"));
            put(format!(
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                LEFT - 6.0,
                at + 4.0,
                round(tick)
            ));
        }
        for (index, line) in lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let mut path = String::new();
            for (point, letter) in line.points.iter().zip(std::iter::once('M').chain(std::iter::repeat('L'))) {
                write!(path, "{letter}{:.1} {:.1}", x(point.0), y(point.1)).expect("memory takes it");
            }
            put(format!("<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n"));
            let at = TOP + 18.0 * (index as f64 + 1.0);
            put(format!("<path d=\"M{} {}h18\" stroke=\"{colour}\" stroke-width=\"2\"/>\n", RIGHT + 12.0, at - 4.0));
            put(format!("<text x=\"{}\" y=\"{at}\">{}</text>\n", RIGHT + 36.0, line.name));
        }
        text + "</svg>\n"
    }
}

/// Without the dust of binary fractions.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
