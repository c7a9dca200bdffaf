// SPDX-License-Identifier: GPL-2.0
//! The procedural macros of kernel-compat: only `#[vtable]`, without any dependency.
//!
//! Built for the machine that compiles, not for the kernel.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// Declares or implements a trait whose optional methods C sees as null or not.
///
/// For each `fn name` of a trait it adds `const HAS_NAME: bool = false;`, and for each one of an
/// implementation `const HAS_NAME: bool = true;`.
#[proc_macro_attribute]
pub fn vtable(_attributes: TokenStream, item: TokenStream) -> TokenStream {
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    let declares = tokens
        .iter()
        .any(|token| matches!(token, TokenTree::Ident(word) if word.to_string() == "trait"));
    let Some(TokenTree::Group(body)) = tokens.pop() else {
        panic!("`#[vtable]` attribute should only be applied to trait or impl block");
    };
    assert!(
        body.delimiter() == Delimiter::Brace,
        "`#[vtable]` needs a trait or impl block"
    );

    let mut content = body.stream();
    content.extend(marker(declares));
    content.extend(
        method_names(&body)
            .iter()
            .flat_map(|name| has_const(name, declares)),
    );
    let mut body = Group::new(Delimiter::Brace, content);
    body.set_span(proc_macro::Span::call_site());
    tokens.push(TokenTree::Group(body));
    tokens.into_iter().collect()
}

/// The names behind each `fn` directly in the block, not in the bodies of its functions.
fn method_names(block: &Group) -> Vec<String> {
    let tokens: Vec<TokenTree> = block.stream().into_iter().collect();
    tokens
        .windows(2)
        .filter_map(|pair| match pair {
            [TokenTree::Ident(word), TokenTree::Ident(name)] if word.to_string() == "fn" => {
                Some(name.to_string())
            }
            _ => None,
        })
        .collect()
}

/// The constant without which an `impl` does not compile: it shows that the attribute was used.
fn marker(declares: bool) -> TokenStream {
    let source = if declares {
        "/// Shows that an implementation carries `#[vtable]`.\nconst USE_VTABLE_ATTR: ();"
    } else {
        "const USE_VTABLE_ATTR: () = ();"
    };
    source.parse().expect("the marker is valid Rust")
}

fn has_const(method: &str, declares: bool) -> TokenStream {
    let name = format!("HAS_{}", method.to_uppercase());
    let source = if declares {
        format!(
            "/// Whether the implementation has its own `{method}`.\nconst {name}: bool = false;"
        )
    } else {
        format!("const {name}: bool = true;")
    };
    source.parse().expect("the constant is valid Rust")
}
