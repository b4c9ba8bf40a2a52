//! The text of a report's page.

use super::{Block, Content, Figure, Report, Section, Tile};
use crate::plot::escape;

const STYLE: &str = include_str!("style.css");

pub(super) fn page(report: &Report) -> String {
    let title = escape(&report.title);
    let tiles: String = report.tiles.iter().map(tile).collect();
    let tiles =
        if tiles.is_empty() { tiles } else { format!("<div class=\"tiles\">{tiles}</div>\n") };
    let sections: String = report.sections.iter().map(section).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header><h1>{title}</h1><p>{}</p></header>\n{tiles}{sections}</main>\n</body>\n</html>\n",
        escape(&report.subtitle)
    )
}

fn tile(tile: &Tile) -> String {
    let [label, value, note] = [&tile.label, &tile.value, &tile.note].map(|text| escape(text));
    format!(
        "<div class=\"tile\"><span class=\"label\">{label}</span>\
         <span class=\"value\">{value}</span><span class=\"note\">{note}</span></div>\n"
    )
}

fn section(section: &Section) -> String {
    let blocks: String = section.blocks.iter().map(block).collect();
    format!("<section>\n<h2>{}</h2>\n{blocks}</section>\n", escape(&section.title))
}

fn block(block: &Block) -> String {
    match block {
        Block::Text(text) => format!("<p>{}</p>\n", escape(text)),
        Block::Figures(figures) => {
            let figures: String = figures.iter().map(figure).collect();
            format!("<div class=\"figures\">\n{figures}</div>\n")
        }
        Block::Table { head, rows } => table(head, rows),
        Block::Code { summary, text } => format!(
            "<details><summary>{}</summary><pre>{}</pre></details>\n",
            escape(summary),
            escape(text)
        ),
    }
}

fn figure(figure: &Figure) -> String {
    let caption = escape(&figure.caption);
    let content = match &figure.content {
        Content::Svg(svg) => svg.clone(),
        Content::Png { data, width, ink } => {
            let class = if *ink { " class=\"ink\"" } else { "" };
            format!(
                "<img{class} width=\"{width}\" alt=\"{caption}\" src=\"data:image/png;base64,{data}\">"
            )
        }
    };
    let caption =
        if caption.is_empty() { caption } else { format!("<figcaption>{caption}</figcaption>") };
    format!("<figure>{content}{caption}</figure>\n")
}

fn table(head: &[String], rows: &[Vec<String>]) -> String {
    // A column of numbers stands at the right, its heading as well.
    let numeric: Vec<bool> = (0..head.len())
        .map(|i| !rows.is_empty() && rows.iter().all(|row| row.get(i).is_none_or(|c| is_number(c))))
        .collect();
    let class = |i: usize| if numeric.get(i) == Some(&true) { " class=\"number\"" } else { "" };
    let named = head.iter().any(|cell| !cell.is_empty());
    let head: String = head
        .iter()
        .enumerate()
        .map(|(i, cell)| format!("<th scope=\"col\"{}>{}</th>", class(i), escape(cell)))
        .collect();
    let body: String = rows
        .iter()
        .map(|row| {
            let cells: String = row
                .iter()
                .enumerate()
                .map(|(i, cell)| match i {
                    0 => format!("<th scope=\"row\"{}>{}</th>", class(i), escape(cell)),
                    _ => format!("<td{}>{}</td>", class(i), escape(cell)),
                })
                .collect();
            format!("<tr>{cells}</tr>\n")
        })
        .collect();
    let head = if named { format!("<thead><tr>{head}</tr></thead>\n") } else { String::new() };
    format!("<div class=\"table\"><table>\n{head}<tbody>\n{body}</tbody>\n</table></div>\n")
}

/// Digits with signs, units of percent, and an error after `±`; or nothing.
fn is_number(cell: &str) -> bool {
    let digits = cell.chars().any(|c| c.is_ascii_digit());
    let empty = cell.is_empty() || cell == "–";
    empty || digits && cell.chars().all(|c| c.is_ascii_digit() || " .,+-−±%e×".contains(c))
}
