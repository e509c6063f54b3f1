//! Plots as SVG. Colours are names that the page's style sheet translates, so
//! that they fit light and dark.

mod ticks;

use std::error::Error;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use ticks::Divided;

/// Stands for the colour of text; see page.css.
const INK: RGBColor = RGBColor(1, 1, 1);
/// Stands for the colour of grids.
const GRID: RGBColor = RGBColor(2, 2, 2);
/// Stands for the colour of what is under a text.
const PAPER: RGBColor = RGBColor(4, 4, 4);

/// Stands for the colour of a target.
fn colour(series: usize) -> RGBColor {
    RGBColor(3, series.min(250) as u8, 3)
}

const FONT: &str = "sans-serif";
const FONT_SIZE: i32 = 13;

/// Labels on an upright axis.
const LABELS_UPRIGHT: usize = 7;

type Drawn = Result<String, Box<dyn Error>>;

/// For which width of a page a plot is drawn: text has one size whatever the page is shown on,
/// so a narrow plot is not a wide one made smaller.
#[derive(Clone, Copy)]
pub(super) enum Size {
    /// A column of a screen.
    Wide,
    /// A telephone.
    Narrow,
}

impl Size {
    /// In pixels.
    fn width(self) -> u32 {
        match self {
            Self::Wide => 560,
            Self::Narrow => 360,
        }
    }

    /// Labels on a lying axis.
    fn labels(self) -> usize {
        match self {
            Self::Wide => 5,
            Self::Narrow => 3,
        }
    }

    /// The longest name before a bar, in characters.
    fn name_len_max(self) -> usize {
        match self {
            Self::Wide => 15,
            Self::Narrow => 12,
        }
    }

    /// The part of the width beyond the longest bar that what is written behind it takes.
    fn label_share(self) -> f64 {
        match self {
            Self::Wide => 0.3,
            Self::Narrow => 0.6,
        }
    }
}

/// One bar, with its interval and its rounds.
pub(super) struct Bar {
    pub(super) series: usize,
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) interval: Option<(f64, f64)>,
    /// The figure of each round.
    pub(super) rounds: Vec<f64>,
    /// What is written behind it.
    pub(super) label: String,
}

impl Bar {
    fn end(&self) -> f64 {
        let high = self.interval.map_or(self.value, |(_, high)| high);
        self.rounds.iter().copied().fold(high, f64::max)
    }
}

/// Horizontal bars, the first at the top.
pub(super) fn bars(
    size: Size,
    x_name: &str,
    bars: &[Bar],
    format: &dyn Fn(&f64) -> String,
) -> Drawn {
    let mut svg = String::new();
    let height = 62 + 34 * bars.len() as u32;
    let most = bars.iter().map(Bar::end).fold(1e-9, f64::max);
    let range = Divided::linear(most, size.labels()).with_room(1.0 + size.label_share());
    // Counted from below.
    let middles: Vec<f64> = (0..bars.len()).map(|row| row as f64 + 0.5).collect();
    let of_row = |middle: f64| &bars[bars.len() - 1 - (middle as usize).min(bars.len() - 1)];
    let name = |middle: &f64| cut_off(&of_row(*middle).name, size.name_len_max());
    {
        let area = SVGBackend::with_string(&mut svg, (size.width(), height)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(6)
            .x_label_area_size(44)
            .y_label_area_size(8 * size.name_len_max() as u32)
            .build_cartesian_2d(range, Divided::at(0.0..bars.len() as f64, middles.clone()))?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .x_desc(x_name)
            .x_label_formatter(&|x| format(x))
            .y_label_formatter(&name)
            .label_style((FONT, FONT_SIZE).into_font().color(&INK))
            .draw()?;
        for middle in middles {
            let bar = of_row(middle);
            let corners = [(0.0, middle - 0.34), (bar.value, middle + 0.34)];
            chart.draw_series([Rectangle::new(corners, colour(bar.series).filled())])?;
            let rounds = bar.rounds.iter().map(|round| (*round, middle - 0.14));
            chart.draw_series(rounds.map(|round| Circle::new(round, 3, PAPER.filled())))?;
            let rounds = bar.rounds.iter().map(|round| (*round, middle - 0.14));
            chart.draw_series(rounds.map(|round| Circle::new(round, 2, INK.filled())))?;
            if let Some((low, high)) = bar.interval {
                let whisker = vec![(low, middle + 0.14), (high, middle + 0.14)];
                chart.draw_series([PathElement::new(whisker, INK.stroke_width(3))])?;
            }
            let style = (FONT, FONT_SIZE)
                .into_font()
                .color(&INK)
                .pos(Pos::new(HPos::Left, VPos::Center));
            let label = Text::new(bar.label.clone(), (8, 0), style);
            chart.draw_series([EmptyElement::at((bar.end(), middle)) + label])?;
        }
        area.present()?;
    }
    Ok(svg)
}

/// The begin of a name that is too long.
fn cut_off(name: &str, len_max: usize) -> String {
    match name.char_indices().nth(len_max) {
        None => name.to_owned(),
        Some(_) => name.chars().take(len_max - 1).chain(['…']).collect(),
    }
}

/// How an axis is divided.
#[derive(Clone, Copy)]
pub(super) enum Scale {
    Linear,
    Log,
}

/// An axis with its name, unit included.
pub(super) struct Axis<'a> {
    pub(super) name: &'a str,
    pub(super) scale: Scale,
    pub(super) format: &'a dyn Fn(&f64) -> String,
}

impl Axis<'_> {
    /// What it has room for, and where it has labels.
    fn divided(&self, values: impl Iterator<Item = f64>, labels_max: usize) -> Divided {
        let (low, high) = values.fold((f64::MAX, 0.0), |(low, high): (f64, f64), value| {
            (low.min(value), high.max(value))
        });
        match self.scale {
            Scale::Linear => Divided::linear(high, labels_max),
            Scale::Log => Divided::log(low, high, labels_max),
        }
    }
}

/// The points of one target.
pub(super) struct Line {
    pub(super) series: usize,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) has_dots: bool,
}

/// Lines over two axes.
pub(super) fn lines(size: Size, x: &Axis<'_>, y: &Axis<'_>, lines: &[Line]) -> Drawn {
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let x_range = x.divided(points().map(|point| point.0), size.labels() + 1);
    let y_range = y.divided(points().map(|point| point.1), LABELS_UPRIGHT);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (size.width(), 320)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            .margin_right(36)
            .x_label_area_size(44)
            .y_label_area_size(76)
            .build_cartesian_2d(x_range, y_range)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .x_desc(x.name)
            .y_desc(y.name)
            .x_label_formatter(&|value| (x.format)(value))
            .y_label_formatter(&|value| (y.format)(value))
            .label_style((FONT, FONT_SIZE).into_font().color(&INK))
            .draw()?;
        for line in lines {
            let stroke = colour(line.series).stroke_width(2);
            chart.draw_series(LineSeries::new(line.points.iter().copied(), stroke))?;
            if line.has_dots {
                let dots = line.points.iter();
                chart.draw_series(
                    dots.map(|point| Circle::new(*point, 4, colour(line.series).filled())),
                )?;
            }
        }
        area.present()?;
    }
    Ok(svg)
}
