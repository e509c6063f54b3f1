//! Plots as SVG. Colours are names that the page's style sheet translates, so
//! that they fit light and dark.

use std::error::Error;

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, SegmentValue, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Stands for the colour of text; see page.css.
const INK: RGBColor = RGBColor(1, 1, 1);
/// Stands for the colour of grids.
const GRID: RGBColor = RGBColor(2, 2, 2);

/// Stands for the colour of a target.
fn colour(series: usize) -> RGBColor {
    RGBColor(3, series.min(250) as u8, 3)
}

const WIDTH: u32 = 860;
const FONT: &str = "sans-serif";
const FONT_SIZE: i32 = 14;

type Drawn = Result<String, Box<dyn Error>>;

/// One bar, with its interval.
pub(super) struct Bar {
    pub(super) series: usize,
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    /// What is written behind it.
    pub(super) label: String,
}

/// Horizontal bars, the first at the top.
pub(super) fn bars(x_name: &str, bars: &[Bar], format: &dyn Fn(&f64) -> String) -> Drawn {
    let mut svg = String::new();
    let height = 70 + 34 * bars.len() as u32;
    let most = bars.iter().map(|bar| bar.high.max(bar.value));
    // Room for what is written behind the longest.
    let most = most.fold(1e-9, f64::max) * 1.3;
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            .x_label_area_size(48)
            .y_label_area_size(130)
            .build_cartesian_2d(0.0..most, (0..bars.len()).into_segmented())?;
        // Counted from below.
        let of_row = |row: usize| &bars[bars.len() - 1 - row];
        let row_name = |segment: &SegmentValue<usize>| match segment {
            SegmentValue::CenterOf(row) if *row < bars.len() => of_row(*row).name.clone(),
            _ => String::new(),
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .x_labels(6)
            .x_desc(x_name)
            .x_label_formatter(&|x| format(x))
            .y_labels(bars.len())
            .y_label_formatter(&row_name)
            .label_style((FONT, FONT_SIZE).into_font().color(&INK))
            .draw()?;
        for row in 0..bars.len() {
            let bar = of_row(row);
            let mut rectangle = Rectangle::new(
                [
                    (0.0, SegmentValue::Exact(row)),
                    (bar.value, SegmentValue::Exact(row + 1)),
                ],
                colour(bar.series).filled(),
            );
            rectangle.set_margin(6, 6, 0, 0);
            let whisker = vec![
                (bar.low, SegmentValue::CenterOf(row)),
                (bar.high, SegmentValue::CenterOf(row)),
            ];
            let style = (FONT, FONT_SIZE)
                .into_font()
                .color(&INK)
                .pos(Pos::new(HPos::Left, VPos::Center));
            let end = (bar.high.max(bar.value), SegmentValue::CenterOf(row));
            let label = EmptyElement::at(end) + Text::new(bar.label.clone(), (8, 0), style);
            chart.draw_series([rectangle])?;
            chart.draw_series([PathElement::new(whisker, INK.stroke_width(3))])?;
            chart.draw_series([label])?;
        }
        area.present()?;
    }
    Ok(svg)
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

/// The points of one target.
pub(super) struct Line {
    pub(super) series: usize,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) has_dots: bool,
}

/// Lines over two axes.
pub(super) fn lines(x: &Axis<'_>, y: &Axis<'_>, lines: &[Line]) -> Drawn {
    let range = |scale: Scale, of: fn(&(f64, f64)) -> f64| {
        let values = lines.iter().flat_map(|line| line.points.iter().map(of));
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        match scale {
            Scale::Linear => 0.0..(high * 1.05).max(1e-9),
            Scale::Log => (low.max(1e-9) / 1.1)..(high.max(1e-9) * 1.1),
        }
    };
    let (x_range, y_range) = (range(x.scale, |p| p.0), range(y.scale, |p| p.1));
    match (x.scale, y.scale) {
        (Scale::Linear, Scale::Linear) => draw(x, y, lines, x_range, y_range),
        (Scale::Log, Scale::Linear) => draw(x, y, lines, x_range.log_scale(), y_range),
        (Scale::Linear, Scale::Log) => draw(x, y, lines, x_range, y_range.log_scale()),
        (Scale::Log, Scale::Log) => draw(x, y, lines, x_range.log_scale(), y_range.log_scale()),
    }
}

fn draw<X, Y>(
    x: &Axis<'_>,
    y: &Axis<'_>,
    lines: &[Line],
    x_range: impl AsRangedCoord<CoordDescType = X, Value = f64>,
    y_range: impl AsRangedCoord<CoordDescType = Y, Value = f64>,
) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, 380)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .margin_right(36)
            .x_label_area_size(48)
            .y_label_area_size(84)
            .build_cartesian_2d(x_range, y_range)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .x_labels(8)
            .y_labels(8)
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
