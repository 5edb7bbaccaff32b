//! How references, parameters and answers are written in each version of OpenAPI.

use serde_json::{Value, json};

/// A version of OpenAPI.
#[derive(Clone, Copy)]
pub(super) enum Notation {
    V2,
    V3,
}

/// Where a parameter stands in a request.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Path,
    Query,
}

// === impl Notation ===

impl Notation {
    /// A schema that is defined elsewhere in the document.
    pub(super) fn reference(self, name: &str) -> Value {
        let root = match self {
            Self::V2 => "#/definitions",
            Self::V3 => "#/components/schemas",
        };
        json!({ "$ref": format!("{root}/{name}") })
    }

    /// A schema whose value may be null.
    pub(super) fn nullable(self, mut schema: Value) -> Value {
        let key = match self {
            Self::V2 => "x-nullable",
            Self::V3 => "nullable",
        };
        schema[key] = json!(true);
        schema
    }

    /// A parameter that is a text; one of a path is always there.
    pub(super) fn parameter(self, place: Place, name: &str, description: &str) -> Value {
        let mut parameter = json!({ "name": name, "in": place.name(), "description": description });
        if matches!(place, Place::Path) {
            parameter["required"] = json!(true);
        }
        match self {
            Self::V2 => parameter["type"] = json!("string"),
            Self::V3 => parameter["schema"] = json!({ "type": "string" }),
        }
        parameter
    }

    /// An answer in JSON.
    pub(super) fn answer(self, description: &str, schema: &Value) -> Value {
        match self {
            Self::V2 => json!({ "description": description, "schema": schema }),
            Self::V3 => json!({ "description": description, "content": { "application/json": { "schema": schema } } }),
        }
    }
}

// === impl Place ===

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
        }
    }
}
