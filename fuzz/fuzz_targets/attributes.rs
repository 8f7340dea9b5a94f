//! Any text as names, values and comments of Nix that is written: Nix' own syntax reads back the very text, whatever is in it,
//! and nothing else is in the file.
//!
//! The input is a list of texts with NUL between them. Another parser of Nix, rnix, is the judge.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rnix::ast::{self, AstToken, HasEntry, InterpolPart};
use rowan::ast::AstNode;
use vgpu::nix::expression::{Expression, Line, module, quoted};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let texts: Vec<&str> = text.split('\0').take(8).collect();
    let mut header = vec!["A driver".to_owned()];
    header.extend(texts.iter().map(|text| text.to_string()));
    // A name can have dots in it only where we write them.
    let name = |at: usize, text: &str| format!("a{at}.{}", text.replace('.', ""));
    let lines = texts.iter().enumerate().flat_map(|(at, text)| {
        [Line::Comment(text.to_string()), Line::noted(&name(at, text), Expression::text(text), text)]
    });
    let written = module(&header, &["lib"], lines.collect());
    assert_eq!(written.lines().count(), header.len() + 1 + 2 + 2 * texts.len(), "a text has a line of its own:\n{written}");
    let shown = written.chars().filter(|c| *c != '\n').all(|c| c == '\t' || !c.is_control() || texts.concat().contains(c));
    assert!(shown, "{written}");

    let parsed = rnix::Root::parse(&written);
    assert!(parsed.errors().is_empty(), "{:?} in:\n{written}", parsed.errors());
    let root = parsed.tree();
    let Some(ast::Expr::Lambda(function)) = root.expr() else { panic!("no function:\n{written}") };
    let Some(ast::Expr::AttrSet(set)) = function.body() else { panic!("no set:\n{written}") };
    assert_eq!(set.entries().count(), texts.len(), "{written}");
    for ((at, text), entry) in texts.iter().enumerate().zip(set.attrpath_values()) {
        let attributes: Vec<ast::Attr> = entry.attrpath().unwrap().attrs().collect();
        assert_eq!(attributes.len(), 2, "{written}");
        let found = match &attributes[1] {
            ast::Attr::Ident(name) => name.to_string(),
            ast::Attr::Str(string) => plain(string),
            ast::Attr::Dynamic(_) => panic!("an attribute is computed:\n{written}"),
        };
        assert_eq!(found, name(at, text).split_once('.').unwrap().1);
        let Some(ast::Expr::Str(value)) = entry.value() else { panic!("no text:\n{written}") };
        assert_eq!(plain(&value), *text, "{written}");
    }
    for comment in root.syntax().descendants_with_tokens().filter_map(|node| node.into_token()) {
        if let Some(comment) = ast::Comment::cast(comment) {
            assert!(!comment.text().contains(|c: char| c == '\r' || ('\u{202a}'..='\u{202e}').contains(&c)), "{written}");
        }
    }
    assert_eq!(quoted(&texts.concat()).matches("${").count(), quoted(&texts.concat()).matches("\\${").count());
});

/// The text of a string, which must have nothing computed in it.
fn plain(string: &ast::Str) -> String {
    let parts = string.normalized_parts().into_iter();
    parts
        .map(|part| match part {
            InterpolPart::Literal(text) => text,
            InterpolPart::Interpolation(_) => panic!("something is computed: {string}"),
        })
        .collect()
}
