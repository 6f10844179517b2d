declare const BUILD_VERSION: string | undefined
declare const BUILD_COMMIT: string | undefined

/** Version of this binary; `0.0.0-source` when it runs from source instead of a build. */
export const version: string = typeof BUILD_VERSION === "string" ? BUILD_VERSION : "0.0.0-source"
/** Short commit the binary was built from, `unknown` outside a git checkout. */
export const commit: string = typeof BUILD_COMMIT === "string" ? BUILD_COMMIT : "unknown"
