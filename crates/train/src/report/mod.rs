//! `report.html`: one file with everything in it.

mod html;
mod sections;

pub use sections::{configuration, curves, environment};

use base64::Engine as _;
use image::DynamicImage;
use maxlik_tensor::Result;

/// A page of numbers, sections, figures and tables.
///
/// ```
/// use maxlik_train::report::{Block, Report, Section};
/// let html = Report::new("Digits", "A flow on 8 × 8 images")
///     .tile("Test", "1.95", "bits per dimension")
///     .section(Section::new("Model").with(Block::Text("Eight spline couplings.".into())))
///     .html();
/// assert!(html.contains("<title>Digits</title>") && html.contains("Eight spline couplings."));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    title: String,
    subtitle: String,
    tiles: Vec<Tile>,
    sections: Vec<Section>,
}

/// A number that one should see first.
#[derive(Debug, Clone, PartialEq)]
struct Tile {
    label: String,
    value: String,
    note: String,
}

/// A part of a report under its own heading.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Heading.
    pub title: String,
    /// Content, from top to bottom.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// Figures side by side where there is room.
    Figures(Vec<Figure>),
    /// A table; the first cell of a row is its heading, cells that are numbers stand at the right.
    Table {
        /// Headings of the columns; left out where all are empty.
        head: Vec<String>,
        /// Rows of as many cells.
        rows: Vec<Vec<String>>,
    },
    /// Text as it is in a file, folded away under `summary`.
    Code {
        /// What it is.
        summary: String,
        /// The text.
        text: String,
    },
}

/// A picture with its caption.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    caption: String,
    content: Content,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Svg(String),
    /// Base64 of a PNG, its width in pixels, and whether it is grey ink on paper.
    Png {
        data: String,
        width: u32,
        ink: bool,
    },
}

impl Report {
    /// A report without content.
    #[must_use]
    pub fn new(title: &str, subtitle: &str) -> Self {
        Self {
            title: title.to_owned(),
            subtitle: subtitle.to_owned(),
            tiles: Vec::new(),
            sections: Vec::new(),
        }
    }

    /// Adds a number to the row at the top, with what it is and its unit or a comparison.
    #[must_use]
    pub fn tile(mut self, label: &str, value: &str, note: &str) -> Self {
        let [label, value, note] = [label, value, note].map(str::to_owned);
        self.tiles.push(Tile { label, value, note });
        self
    }

    /// Adds a section.
    #[must_use]
    pub fn section(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// The page; it loads nothing from elsewhere.
    #[must_use]
    pub fn html(&self) -> String {
        html::page(self)
    }
}

impl Section {
    /// A section without content.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), blocks: Vec::new() }
    }

    /// Adds a block.
    #[must_use]
    pub fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }
}

impl Block {
    /// A table from strings.
    #[must_use]
    pub fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> Self {
        Self::Table {
            head: head.map(str::to_owned).to_vec(),
            rows: rows.into_iter().map(Vec::from).collect(),
        }
    }
}

impl Figure {
    /// A figure from the text of an SVG, such as those of [`crate::plot`].
    #[must_use]
    pub fn svg(caption: &str, svg: String) -> Self {
        Self { caption: caption.to_owned(), content: Content::Svg(svg) }
    }

    /// A figure from an image.
    ///
    /// # Errors
    /// As [`crate::plot::png`].
    pub fn image(caption: &str, image: &DynamicImage) -> Result<Self> {
        let data = base64::engine::general_purpose::STANDARD.encode(crate::plot::png(image)?);
        let content = Content::Png { data, width: image.width(), ink: false };
        Ok(Self { caption: caption.to_owned(), content })
    }

    /// As [`Figure::image`], for dark ink on white paper: a dark page shows light ink on dark paper.
    ///
    /// # Errors
    /// As [`crate::plot::png`].
    pub fn ink(caption: &str, image: &DynamicImage) -> Result<Self> {
        let mut figure = Self::image(caption, image)?;
        if let Content::Png { ink, .. } = &mut figure.content {
            *ink = true;
        }
        Ok(figure)
    }
}
