//! Line charts.

use super::axis::Axis;
use super::color;
use super::svg::{Anchor, Svg, escape, short, width_of};

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// A line.
    Line,
    /// A thin line, for noisy values.
    Thin,
    /// A line with a dot at each point, for values that are few.
    Dotted,
}

/// Points that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// `(x, y)` in the order of drawing; those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub stroke: Stroke,
}

/// Lines over a common axis.
///
/// ```
/// use maxlik_train::plot::{LineChart, Series, Stroke};
/// let points = (0..50).map(|i| (f64::from(i), 1.0 / (1.0 + f64::from(i)))).collect();
/// let chart = LineChart::new("Training", "step", "NLL (nats)")
///     .series(Series { name: "train".into(), points, stroke: Stroke::Line })
///     .level("entropy", 0.1);
/// assert!(chart.svg().starts_with("<svg"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LineChart {
    title: String,
    x_label: String,
    y_label: String,
    series: Vec<Series>,
    levels: Vec<(String, f64)>,
    mark: Option<(String, f64)>,
    size: [f64; 2],
}

/// Room for the title, and for a legend below it.
const TOP: f64 = 58.0;
const BOTTOM: f64 = 46.0;
const RIGHT: f64 = 18.0;

impl LineChart {
    /// A chart without lines.
    #[must_use]
    pub fn new(title: &str, x_label: &str, y_label: &str) -> Self {
        Self {
            title: title.to_owned(),
            x_label: x_label.to_owned(),
            y_label: y_label.to_owned(),
            series: Vec::new(),
            levels: Vec::new(),
            mark: None,
            size: [960.0, 360.0],
        }
    }

    /// Adds a series.
    #[must_use]
    pub fn series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// Adds a dashed horizontal line, such as a baseline.
    #[must_use]
    pub fn level(mut self, name: &str, value: f64) -> Self {
        self.levels.push((name.to_owned(), value));
        self
    }

    /// Marks a place on the x axis, such as that of the best validation.
    #[must_use]
    pub fn mark(mut self, name: &str, x: f64) -> Self {
        self.mark = Some((name.to_owned(), x));
        self
    }

    /// Sets width and height in pixels; 960 × 360 unless said.
    #[must_use]
    pub fn size(mut self, width: f64, height: f64) -> Self {
        self.size = [width, height];
        self
    }

    /// The chart as a self-contained SVG.
    #[must_use]
    pub fn svg(&self) -> String {
        let [width, height] = self.size;
        let mut svg = Svg::new(width, height, &self.title);
        let y = Axis::new(self.y_range(), [height - BOTTOM, TOP], (height / 65.0) as usize);
        let widest = y.ticks().iter().map(|(_, label)| width_of(label)).fold(0.0, f64::max);
        let left = 38.0 + widest;
        let x = Axis::new(self.x_range(), [left, width - RIGHT], (width / 110.0) as usize);
        self.frame(&mut svg, &x, &y, left);
        svg.raw(&format!(
            "<clipPath id='c{0}'><rect x='{1}' y='{TOP}' width='{2}' height='{3}'/></clipPath>\
             <g clip-path='url(#c{0})'>",
            self.key(),
            short(left),
            short(width - RIGHT - left),
            short(height - BOTTOM - TOP)
        ));
        for (index, series) in self.series.iter().enumerate() {
            draw(&mut svg, series, &color::series(index), &x, &y);
        }
        svg.raw("</g>");
        self.legend(&mut svg, left);
        svg.finish()
    }

    fn frame(&self, svg: &mut Svg, x: &Axis, y: &Axis, left: f64) {
        let [width, height] = self.size;
        let (right, bottom) = (width - RIGHT, height - BOTTOM);
        for (at, label) in y.ticks() {
            svg.line([left, at], [right, at], "var(--grid)", 1.0);
            svg.text([left - 8.0, at + 4.0], Anchor::End, "", &label);
        }
        svg.line([left, bottom], [right, bottom], "var(--frame)", 1.0);
        for (at, label) in x.ticks() {
            svg.line([at, bottom], [at, bottom + 4.0], "var(--frame)", 1.0);
            svg.text([at, bottom + 18.0], Anchor::Middle, "", &label);
        }
        svg.text([0.5 * (left + right), height - 8.0], Anchor::Middle, "", &self.x_label);
        svg.upward([16.0, 0.5 * (TOP + bottom)], &self.y_label);
        for (_, value) in &self.levels {
            let at = short(y.place(*value));
            svg.raw(&format!(
                "<line x1='{}' x2='{}' y1='{at}' y2='{at}' style='stroke:var(--soft)' \
                 stroke-dasharray='5 4' stroke-width='1.2'/>",
                short(left),
                short(right)
            ));
        }
        for (name, value) in &self.levels {
            svg.text([right - 4.0, y.place(*value) - 5.0], Anchor::End, "ink", name);
        }
        if let Some((name, value)) = &self.mark {
            let at = x.place(*value);
            svg.line([at, TOP], [at, bottom], "var(--frame)", 1.0);
            let right_half = at > 0.5 * (left + right);
            let (anchor, shift) =
                if right_half { (Anchor::End, -5.0) } else { (Anchor::Start, 5.0) };
            svg.text([at + shift, TOP + 11.0], anchor, "", name);
        }
    }

    fn legend(&self, svg: &mut Svg, left: f64) {
        svg.text([left, 22.0], Anchor::Start, "ink title", &self.title);
        if self.series.len() < 2 {
            return;
        }
        let mut at = left;
        for (index, series) in self.series.iter().enumerate() {
            let (color, x) = (color::series(index), short(at));
            svg.raw(&format!(
                "<rect x='{x}' y='36' width='14' height='3' rx='1.5' style='fill:{color}'/>"
            ));
            svg.text([at + 20.0, 42.0], Anchor::Start, "ink", &series.name);
            at += 38.0 + width_of(&series.name);
        }
    }

    fn x_range(&self) -> [f64; 2] {
        let xs = self.series.iter().flat_map(|s| s.points.iter().map(|p| p.0));
        let [low, high] = bounds(xs.filter(|x| x.is_finite()));
        // Counts begin at zero, though the first is written down somewhat later.
        [if low > 0.0 && low < 0.2 * high { 0.0 } else { low }, high]
    }

    /// From the lowest value to all but the highest few: the first steps of a run must not press the
    /// rest to the ground. Levels are inside.
    fn y_range(&self) -> [f64; 2] {
        let mut highs: Vec<f64> = self.levels.iter().map(|(_, value)| *value).collect();
        let mut low = bounds(highs.iter().copied())[0];
        for series in &self.series {
            let ys = series.points.iter().map(|p| p.1).filter(|y| y.is_finite());
            let mut ys: Vec<f64> = ys.collect();
            ys.sort_by(f64::total_cmp);
            if let (Some(first), Some(high)) =
                (ys.first(), ys.get((ys.len() * 24 / 25).min(ys.len().saturating_sub(1))))
            {
                low = low.min(*first);
                highs.push(*high);
            }
        }
        let high = bounds(highs.into_iter())[1];
        let room = 0.06 * (high - low);
        [low - room, high + room]
    }

    /// A name for the clip path that other charts of a page do not have.
    fn key(&self) -> String {
        let text = format!("{self:?}");
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("{hash:x}")
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> [f64; 2] {
    values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)])
}

fn draw(svg: &mut Svg, series: &Series, color: &str, x: &Axis, y: &Axis) {
    let finite = series.points.iter().filter(|(a, b)| a.is_finite() && b.is_finite());
    let places: Vec<(f64, f64)> = finite.map(|&(a, b)| (x.place(a), y.place(b))).collect();
    let path: Vec<String> =
        places.iter().map(|(a, b)| format!("{},{}", short(*a), short(*b))).collect();
    let (width, opacity) = match series.stroke {
        Stroke::Thin => (1.4, 0.75),
        Stroke::Line | Stroke::Dotted => (2.2, 1.0),
    };
    svg.raw(&format!(
        "<polyline points='{}' fill='none' style='stroke:{color}' stroke-width='{width}' \
         stroke-opacity='{opacity}' stroke-linejoin='round' stroke-linecap='round'>\
         <title>{}</title></polyline>",
        path.join(" "),
        escape(&series.name)
    ));
    if series.stroke == Stroke::Dotted {
        // Dots for few points; many would only be a thicker line.
        for (a, b) in places.iter().filter(|_| places.len() <= 60) {
            svg.raw(&format!(
                "<circle cx='{}' cy='{}' r='2.8' style='fill:{color}'/>",
                short(*a),
                short(*b)
            ));
        }
    }
}
