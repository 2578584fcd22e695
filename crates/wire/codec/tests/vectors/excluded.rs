//! The vectors that do not apply to a server, with their reasons.

/// How much of a vector is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    Fully,
    /// An answer that clients must take and no server writes: it is read, not written.
    Read,
    Not,
}

/// Vectors of a file that share a reason.
pub struct Listed {
    pub file: &'static str,
    pub reason: &'static str,
    pub checked: Checked,
    pub ids: &'static [&'static str],
}

/// Of the input files.
pub const INPUTS: &[Listed] = &[
    Listed {
        file: "json",
        reason: "compresses the request in the client; the vector has no body to read",
        checked: Checked::Not,
        ids: &[
            "SDKAppliedContentEncoding_awsJson1_1",
            "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1",
        ],
    },
    Listed {
        file: "json_1_0",
        reason: "compresses the request in the client; the vector has no body to read",
        checked: Checked::Not,
        ids: &[
            "SDKAppliedContentEncoding_awsJson1_0",
            "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0",
        ],
    },
    Listed {
        file: "query",
        reason: "compresses the request in the client; the vector has no body to read",
        checked: Checked::Not,
        ids: &["SDKAppliedContentEncoding_awsQuery", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery"],
    },
    Listed {
        file: "query",
        reason: "makes an idempotency token in the client when the parameters have none",
        checked: Checked::Not,
        ids: &["QueryProtocolIdempotencyTokenAutoFill"],
    },
    Listed {
        file: "query",
        reason: "an empty list or map is not on the wire, so nothing can be read",
        checked: Checked::Not,
        ids: &["QueryEmptyQueryMaps"],
    },
    Listed {
        file: "rest-json",
        reason: "compresses the request in the client; the vector has no body to read",
        checked: Checked::Not,
        ids: &["SDKAppliedContentEncoding_restJson1", "SDKAppendedGzipAfterProvidedEncoding_restJson1"],
    },
    Listed {
        file: "rest-xml",
        reason: "compresses the request in the client; the vector has no body to read",
        checked: Checked::Not,
        ids: &["SDKAppliedContentEncoding_restXml", "SDKAppendedGzipAfterProvidedEncoding_restXml"],
    },
    Listed {
        file: "rest-json",
        reason: "puts a path into the client's endpoint, which a server of its own root never sees",
        checked: Checked::Not,
        ids: &["RestJsonHostWithPath"],
    },
    Listed {
        file: "rest-json",
        reason: "makes an idempotency token in the client when the parameters have none",
        checked: Checked::Not,
        ids: &["RestJsonQueryIdempotencyTokenAutoFill"],
    },
    Listed {
        file: "rest-json",
        reason: "an empty list or map is not on the wire, so nothing can be read",
        checked: Checked::Not,
        ids: &["RestJsonHttpPrefixHeadersAreNotPresent", "RestJsonOmitsEmptyListQueryValues"],
    },
    Listed {
        file: "rest-json",
        reason: "leaves the parameters that have members of their own out of the map, as a client would; a server puts all into it, as the other vectors of rest-json want",
        checked: Checked::Not,
        ids: &["RestJsonQueryParamsStringListMap", "RestJsonQueryPrecedence"],
    },
    Listed {
        file: "rest-json",
        reason: "the client sends {} for an absent payload, which reads as an empty structure",
        checked: Checked::Not,
        ids: &["RestJsonHttpWithEmptyStructurePayload", "RestJsonHttpWithHeadersButNoPayload"],
    },
    Listed {
        file: "rest-xml",
        reason: "makes an idempotency token in the client when the parameters have none",
        checked: Checked::Not,
        ids: &["QueryIdempotencyTokenAutoFill"],
    },
    Listed {
        file: "rest-xml",
        reason: "an empty list or map is not on the wire, so nothing can be read",
        checked: Checked::Not,
        ids: &["HttpPrefixHeadersAreNotPresent"],
    },
    Listed {
        file: "rest-xml",
        reason: "leaves the parameters that have members of their own out of the map, as a client would; a server puts all into it, as the other vectors of rest-json want",
        checked: Checked::Not,
        ids: &[
            "AllQueryStringTypes",
            "RestXmlQueryStringEscaping",
            "RestXmlSupportsNaNFloatQueryValues",
            "RestXmlSupportsInfinityFloatQueryValues",
            "RestXmlSupportsNegativeInfinityFloatQueryValues",
            "RestXmlZeroAndFalseQueryValues",
            "RestXmlQueryParamsStringListMap",
            "RestXmlQueryPrecedence",
        ],
    },
];

/// Of the output files.
pub const OUTPUTS: &[Listed] = &[
    Listed {
        file: "json",
        reason: "a time with an offset, which clients must take; servers write UTC",
        checked: Checked::Read,
        ids: &["AwsJson11DateTimeWithNegativeOffset", "AwsJson11DateTimeWithPositiveOffset"],
    },
    Listed {
        file: "json",
        reason: "unexpected members or nulls, which clients must pass over",
        checked: Checked::Read,
        ids: &[
            "handles_unexpected_json_output",
            "AwsJson11DeserializeIgnoreType",
            "AwsJson11StructuresDontDeserializeNullValues",
        ],
    },
    Listed {
        file: "json",
        reason: "an answer without a body, which clients must take; servers write {}",
        checked: Checked::Not,
        ids: &["json_1_1_service_responds_with_no_payload"],
    },
    Listed {
        file: "json",
        reason: "one of many forms of an error's code, which clients must take; we write one of them",
        checked: Checked::Not,
        ids: &[
            "AwsJson11FooErrorUsingXAmznErrorType",
            "AwsJson11FooErrorUsingXAmznErrorTypeWithUri",
            "AwsJson11FooErrorUsingXAmznErrorTypeWithUriAndNamespace",
            "AwsJson11FooErrorUsingCode",
            "AwsJson11FooErrorUsingCodeAndNamespace",
            "AwsJson11FooErrorUsingCodeUriAndNamespace",
            "AwsJson11FooErrorWithDunderTypeAndNamespace",
            "AwsJson11FooErrorWithDunderTypeUriAndNamespace",
        ],
    },
    Listed {
        file: "json_1_0",
        reason: "unexpected members or nulls, which clients must pass over",
        checked: Checked::Read,
        ids: &[
            "AwsJson10DeserializeIgnoreType",
            "AwsJson10DeserializeAllowNulls",
            "AwsJson10HandlesUnexpectedJsonOutput",
        ],
    },
    Listed {
        file: "json_1_0",
        reason: "an answer without a body, which clients must take; servers write {}",
        checked: Checked::Not,
        ids: &["AwsJson10ServiceRespondsWithNoPayload"],
    },
    Listed {
        file: "json_1_0",
        reason: "one of many forms of an error's code, which clients must take; we write one of them",
        checked: Checked::Not,
        ids: &[
            "AwsJson10FooErrorUsingXAmznErrorType",
            "AwsJson10FooErrorUsingXAmznErrorTypeWithUri",
            "AwsJson10FooErrorUsingXAmznErrorTypeWithUriAndNamespace",
            "AwsJson10FooErrorUsingCode",
            "AwsJson10FooErrorUsingCodeAndNamespace",
            "AwsJson10FooErrorUsingCodeUriAndNamespace",
            "AwsJson10FooErrorWithDunderTypeAndNamespace",
            "AwsJson10FooErrorWithDunderTypeUriAndNamespace",
        ],
    },
    Listed {
        file: "json_1_0",
        reason: "the error's code has the namespace of the Smithy model, which the models of botocore have not; clients take it off",
        checked: Checked::Not,
        ids: &["AwsJson10InvalidGreetingError", "AwsJson10ComplexError", "AwsJson10EmptyComplexError"],
    },
    Listed {
        file: "query",
        reason: "a time with an offset, which clients must take; servers write UTC",
        checked: Checked::Not,
        ids: &["AwsQueryDateTimeWithNegativeOffset", "AwsQueryDateTimeWithPositiveOffset"],
    },
    Listed {
        file: "rest-json",
        reason: "a time with an offset, which clients must take; servers write UTC",
        checked: Checked::Read,
        ids: &["RestJsonDateTimeWithNegativeOffset", "RestJsonDateTimeWithPositiveOffset"],
    },
    Listed {
        file: "rest-json",
        reason: "unexpected members or nulls, which clients must pass over",
        checked: Checked::Read,
        ids: &["RestJsonDeserializesDenseSetMapAndSkipsNull", "RestJsonDeserializeIgnoreType"],
    },
    Listed {
        file: "rest-json",
        reason: "an answer without a body, which clients must take; servers write {}",
        checked: Checked::Not,
        ids: &[
            "RestJsonEmptyInputAndEmptyOutputJsonObjectOutput",
            "RestJsonGreetingWithErrorsNoPayload",
            "RestJsonHttpResponseCodeWithNoPayload",
            "RestJsonIgnoreQueryParamsInResponseNoPayload",
            "RestJsonNoInputAndOutputNoPayload",
        ],
    },
    Listed {
        file: "rest-json",
        reason: "one of many forms of an error's code, which clients must take; we write one of them",
        checked: Checked::Not,
        ids: &[
            "RestJsonFooErrorUsingXAmznErrorTypeWithUri",
            "RestJsonFooErrorUsingXAmznErrorTypeWithUriAndNamespace",
            "RestJsonFooErrorUsingCode",
            "RestJsonFooErrorUsingCodeAndNamespace",
            "RestJsonFooErrorUsingCodeUriAndNamespace",
            "RestJsonFooErrorWithDunderType",
            "RestJsonFooErrorWithDunderTypeAndNamespace",
            "RestJsonFooErrorWithDunderTypeUriAndNamespace",
        ],
    },
    Listed {
        file: "rest-xml",
        reason: "a time with an offset, which clients must take; servers write UTC",
        checked: Checked::Read,
        ids: &["RestXmlDateTimeWithNegativeOffset", "RestXmlDateTimeWithPositiveOffset"],
    },
    Listed {
        file: "rest-xml",
        reason: "the answer has members that are not in the error, which clients must pass over",
        checked: Checked::Not,
        ids: &["InvalidGreetingError", "ComplexError"],
    },
    Listed {
        file: "rest-xml",
        reason: "a content type without content, which clients must take",
        checked: Checked::Not,
        ids: &["RestXmlHttpResponseCode"],
    },
    Listed {
        file: "rest-json",
        reason: "a null for an absent member, which clients must take",
        checked: Checked::Not,
        ids: &["RestJsonDoesntDeserializeNullStructureValues"],
    },
];
