//! Pictures and the report.

use crate::common::new_run;
use base64::Engine as _;
use image::{GenericImageView as _, Rgba};
use maxlik_train::Environment;
use maxlik_train::plot::{
    Heatmap, Images, LineChart, Panel, Plane, Scatter, Series, Stroke, beside, png, viridis,
};
use maxlik_train::report::{self, Block, Figure, Report, Section};
use std::collections::BTreeMap;

/// Checks that tags are balanced and attributes quoted, and returns the names of all elements.
#[track_caller]
fn elements(xml: &str) -> Vec<String> {
    let (mut open, mut names) = (Vec::new(), Vec::new());
    let mut rest = xml;
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "a stray > in {}", &rest[..start]);
        let mut quote = None;
        let end = rest[start..].find(|c| {
            match (quote, c) {
                (None, '\'' | '"') => quote = Some(c),
                (Some(q), c) if q == c => quote = None,
                (None, '>') => return true,
                _ => {}
            }
            false
        });
        let tag = &rest[start + 1..start + end.expect("a tag that ends")];
        rest = &rest[start + end.unwrap() + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap().to_owned();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else {
            if !tag.ends_with('/') {
                open.push(name.clone());
            }
            names.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} not closed");
    names
}

fn count(names: &[String], name: &str) -> usize {
    names.iter().filter(|n| *n == name).count()
}

fn chart() -> LineChart {
    let points =
        |shift: f64| (1..=20).map(|i| (f64::from(i) * 50.0, shift + 3.0 / f64::from(i))).collect();
    LineChart::new("A < B & 'C'", "step", "NLL (nats)")
        .series(Series { name: "train".into(), points: points(0.0), stroke: Stroke::Thin })
        .series(Series { name: "validation".into(), points: points(0.5), stroke: Stroke::Dotted })
}

/// Places of a polyline of the chart.
fn polyline(svg: &str, index: usize) -> Vec<(f64, f64)> {
    let text = svg.split("<polyline points='").nth(index + 1).unwrap().split('\'').next().unwrap();
    let pair = |p: &str| p.split_once(',').map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()));
    text.split(' ').filter_map(pair).collect()
}

#[test]
fn line_charts_are_well_formed_and_true_to_scale() {
    let svg = chart().level("entropy", 0.25).mark("best", 700.0).svg();
    let names = elements(&svg);
    assert_eq!((count(&names, "polyline"), count(&names, "circle")), (2, 20));
    assert!(svg.contains("A &lt; B &amp; &#39;C&#39;") && svg.contains(">entropy</text>"));
    // Equal steps in x are equal on paper, and so is the shift between the two lines.
    let (a, b) = (polyline(&svg, 0), polyline(&svg, 1));
    let shift = a[5].1 - b[5].1;
    assert!(shift > 0.0, "higher values are further up");
    for i in 1..20 {
        assert!((a[i].0 - a[i - 1].0 - (a[1].0 - a[0].0)).abs() < 0.03);
        assert!((a[i].1 - b[i].1 - shift).abs() < 0.03);
    }
    assert_eq!(a.last().unwrap().0, 960.0 - 18.0, "the last step is at the right edge");
}

#[test]
fn charts_of_nothing_and_of_what_is_not_finite_are_charts() {
    let empty = LineChart::new("", "", "").svg();
    assert_eq!(count(&elements(&empty), "polyline"), 0);
    let points = vec![(0.0, f64::NAN), (1.0, 2.0), (f64::INFINITY, 1.0), (2.0, 2.0)];
    let series = Series { name: "x".into(), points, stroke: Stroke::Line };
    let svg = LineChart::new("", "", "").series(series).svg();
    assert_eq!(polyline(&svg, 0).len(), 2);
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
}

#[test]
fn the_first_steps_do_not_flatten_the_rest() {
    let mut points: Vec<(f64, f64)> =
        (1..=100).map(|i| (f64::from(i), 1.0 + f64::from(i % 2))).collect();
    points[0].1 = 1e6;
    let svg = LineChart::new("", "", "")
        .series(Series { name: "x".into(), points, stroke: Stroke::Line })
        .svg();
    let places = polyline(&svg, 0);
    assert!((places[50].1 - places[51].1).abs() > 100.0);
}

#[test]
fn viridis_goes_from_purple_to_yellow() {
    assert_eq!(viridis(0.0), [0x44, 0x01, 0x54]);
    assert_eq!(viridis(1.0), [0xfd, 0xe7, 0x25]);
    assert_eq!(
        (viridis(-3.0), viridis(f64::NAN), viridis(7.0)),
        (viridis(0.0), viridis(0.0), viridis(1.0))
    );
    let luminance = |t: f64| {
        let [r, g, b] = viridis(t).map(f64::from);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    for i in 1..=100 {
        assert!(luminance(f64::from(i) / 100.0) > luminance(f64::from(i - 1) / 100.0));
    }
}

#[test]
fn heat_maps_have_y_upward() {
    let map = Heatmap { values: vec![0.0, 1.0, 2.0, 3.0, 4.0, f64::NAN], columns: 3 };
    assert_eq!(map.max(), 4.0);
    let image = map.image(4.0).unwrap();
    assert_eq!(image.dimensions(), (3, 2));
    assert_eq!(image.get_pixel(0, 1).0, viridis(0.0), "the first value is at the lower left");
    assert_eq!(image.get_pixel(1, 0).0, viridis(1.0));
    let error = Heatmap { columns: 4, ..map }.image(1.0).unwrap_err().to_string();
    assert_eq!(error, "values: expected shape whole rows of 4, got 6 values");
}

#[test]
fn points_are_drawn_where_they_are() {
    let mut scatter = Scatter::new(vec![[1.0, -2.0], [1e9, 0.0], [f64::NAN, 0.0]]);
    scatter.opacity = 1.0;
    let image = scatter.image([-4.0, 4.0, -4.0, 4.0], 160);
    let opaque: Vec<(u32, u32)> = image
        .enumerate_pixels()
        .filter(|(_, _, p)| p.0[3] == 255)
        .map(|(x, y, _)| (x, y))
        .collect();
    assert!(!opaque.is_empty());
    let mean = |f: fn(&(u32, u32)) -> u32| {
        opaque.iter().map(|p| f64::from(f(p)) + 0.5).sum::<f64>() / opaque.len() as f64
    };
    assert!((mean(|p| p.0) - 100.0).abs() < 0.6 && (mean(|p| p.1) - 120.0).abs() < 0.6);
}

#[test]
fn grids_put_every_pixel_of_every_image_in_its_place() {
    let values: Vec<f64> = (0..3 * 2 * 2).map(|i| f64::from(i) / 11.0).collect();
    let images = Images { values: values.clone(), channels: 1, height: 2, width: 2 };
    let grid = images.grid(2, 3, 4).unwrap();
    assert_eq!(grid.dimensions(), (2 * 6 + 4, 2 * 6 + 4));
    for (index, value) in values.iter().enumerate() {
        let (image, y, x) = (index / 4, index / 2 % 2, index % 2);
        let left = (image % 2 * 10 + x * 3) as u32;
        let top = (image / 2 * 10 + y * 3) as u32;
        let level = (255.0 * value).round() as u8;
        for (dx, dy) in [(0, 0), (2, 2)] {
            assert_eq!(grid.get_pixel(left + dx, top + dy), Rgba([level, level, level, 255]));
        }
    }
    assert_eq!(grid.get_pixel(7, 7).0[3], 0, "gaps are transparent");
    assert_eq!(grid.get_pixel(12, 12).0[3], 0, "so is the place of a missing image");
    let inverted = images.clone().inverted().grid(3, 1, 0).unwrap();
    assert_eq!(inverted.get_pixel(0, 0), Rgba([255; 4]));
    let color = Images { values: vec![1.0, 0.0, 2.0], channels: 3, height: 1, width: 1 };
    assert_eq!(color.grid(1, 1, 0).unwrap().get_pixel(0, 0), Rgba([255, 0, 255, 255]));
    let both = beside(&[grid, inverted], 5).unwrap();
    assert_eq!(both.dimensions(), (16 + 5 + 6, 16));
    assert_eq!(both.get_pixel(21, 0), Rgba([255; 4]));

    let error = |images: Images| images.grid(1, 1, 1).unwrap_err().to_string();
    let bad = Images { values: vec![0.0; 5], channels: 1, height: 2, width: 2 };
    assert_eq!(error(bad), "values: expected shape [N, 1, 2, 2], N at least 1, got 5 values");
    let bad = Images { values: vec![0.0; 4], channels: 2, height: 2, width: 1 };
    assert_eq!(error(bad), "channels: expected 1 or 3, got 2");
}

#[test]
fn a_plane_holds_its_densities_as_images() {
    let map = |scale: f64| Heatmap { values: vec![scale; 16], columns: 4 };
    let panel = |title: &str, density, points| Panel { title: title.into(), density, points };
    let plane = Plane {
        title: "two".into(),
        extent: [-1.0, 1.0, 0.0, 2.0],
        labels: ["u".into(), "v".into()],
        panels: vec![
            panel("true", Some(map(1.0)), None),
            panel("learned", Some(map(0.5)), Some(Scatter::new(vec![[0.0, 1.0]]))),
        ],
    };
    let svg = plane.svg().unwrap();
    let names = elements(&svg);
    assert_eq!(count(&names, "image"), 3);
    let first = svg.split("base64,").nth(1).unwrap().split('\'').next().unwrap();
    let bytes = base64::engine::general_purpose::STANDARD.decode(first).unwrap();
    let image = image::load_from_memory(&bytes).unwrap();
    let [r, g, b] = viridis(1.0);
    assert_eq!(image.get_pixel(0, 0), Rgba([r, g, b, 255]));
}

#[test]
fn a_report_holds_everything_and_loads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(folder.path());
    run.write_environment(&Environment::collect(tch::Device::Cpu)).unwrap();
    let mut log = run.log(0).unwrap();
    for step in 1..=10 {
        let mut values = BTreeMap::from([("train_nll".to_owned(), 5.0 / step as f64)]);
        if step % 5 == 0 {
            values.insert("validation_nll".to_owned(), 6.0 / step as f64);
        }
        log.append(step, 0.0, &values).unwrap();
    }
    let images = Images { values: vec![0.25; 4], channels: 1, height: 2, width: 2 };
    let grid = images.grid(1, 2, 0).unwrap();
    let rows =
        vec![["flow".to_owned(), "1.95 ± 0.01".to_owned()], ["<b>".to_owned(), "4.09".to_owned()]];
    let html = Report::new("Digits & co", "seed 7")
        .tile("Test", "1.95", "bits per dimension")
        .section(
            Section::new("Samples")
                .with(Block::Text("<script>alert(1)</script>".into()))
                .with(Block::Figures(vec![Figure::ink("drawn", &grid).unwrap()]))
                .with(Block::table(["model", "bits"], rows)),
        )
        .section(report::curves(&run, "NLL", "nats", &[("uniform", 4.0)]).unwrap())
        .section(report::configuration(&run).unwrap())
        .section(report::environment(&run).unwrap())
        .html();
    for part in [
        "<title>Digits &amp; co</title>",
        "<span class=\"value\">1.95</span>",
        "&lt;script&gt;",
        "<th scope=\"row\">&lt;b&gt;</th><td class=\"number\">4.09</td>",
        "<th scope=\"col\" class=\"number\">bits</th>",
        "<img class=\"ink\" width=\"4\" alt=\"drawn\" src=\"data:image/png;base64,",
        "Training and validation",
        ">uniform</text>",
        "clip = 0.5",
        env!("CARGO_PKG_VERSION"),
        "prefers-color-scheme: dark",
    ] {
        assert!(html.contains(part), "{part} is missing");
    }
    assert!(!html.contains("<script") && !html.contains("<link") && !html.contains("@import"));
    assert!(!html.replace("xmlns='http://www.w3.org/2000/svg'", "").contains("http"));
    let data = html.split("base64,").nth(1).unwrap().split('"').next().unwrap();
    let bytes = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
    assert_eq!(bytes, png(&grid).unwrap());
    assert_eq!(image::load_from_memory(&bytes).unwrap(), grid);
    for plot in ["loss", "learning-rate", "gradient-norm"] {
        let svg = std::fs::read_to_string(run.file(&format!("plots/{plot}.svg"))).unwrap();
        elements(&svg);
        assert!(html.contains(&svg));
    }
}
