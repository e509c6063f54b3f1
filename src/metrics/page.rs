//! The page that the metrics address answers `GET /` with: one document that needs nothing else.

/// The page, with its style and scripts in it. It needs no network but the server's `/metrics`.
pub(super) const PAGE: &str = concat!(
    include_str!("page/head.html"),
    include_str!("page/page.css"),
    include_str!("page/body.html"),
    include_str!("page/elements.js"),
    include_str!("page/reading.js"),
    include_str!("page/history.js"),
    include_str!("page/figures.js"),
    include_str!("page/verdict.js"),
    include_str!("page/axes.js"),
    include_str!("page/charts.js"),
    include_str!("page/tables.js"),
    include_str!("page/page.js"),
    "</script>\n</body>\n</html>\n",
);

#[cfg(test)]
mod tests {
    use super::PAGE;

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        let page = PAGE.replace("http://www.w3.org/2000/svg", "");
        for foreign in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    /// What comes from the server is text, never markup or code.
    #[test]
    fn the_page_has_no_way_from_text_to_markup() {
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "Function(",
        ] {
            assert!(!PAGE.contains(way), "{way}");
        }
    }
}
