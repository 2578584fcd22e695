import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The function of README.md in Java, with a loop of its own over the Runtime API and nothing beyond java.base. */
public final class Function {
    private static final String API =
            "http://" + System.getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/";
    private static final Pattern STRING = Pattern.compile("\"([^\"]*)\"");
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private static int calls;

    public static void main(String[] arguments) throws IOException {
        while (true) {
            HttpURLConnection call = (HttpURLConnection) new URL(API + "next").openConnection();
            String event = body(call);
            String id = call.getHeaderField("Lambda-Runtime-Aws-Request-Id");
            try {
                post(id + "/response", handle(event, call), null);
            } catch (IllegalStateException error) {
                String type = error.getClass().getName();
                String report = String.format(
                        "{\"errorType\": %s, \"errorMessage\": %s, \"stackTrace\": []}",
                        quoted(type), quoted(error.getMessage()));
                post(id + "/error", report, type);
            }
        }
    }

    /** Only what the tests send is understood: an object whose first member is `do`. */
    private static String handle(String event, HttpURLConnection call) {
        calls += 1;
        switch (text(event, "do")) {
            case "echo":
                return raw(event, "value");
            case "big":
                return quoted("x".repeat(Integer.parseInt(raw(event, "bytes"))));
            case "context":
                return about(call);
            case "count":
                return Integer.toString(calls);
            case "log":
                Matcher lines = STRING.matcher(raw(event, "lines"));
                while (lines.find()) {
                    OUT.println(lines.group(1));
                }
                return "null";
            case "fail":
                throw new IllegalStateException(text(event, "message"));
            case "exit":
                Runtime.getRuntime().halt(Integer.parseInt(raw(event, "status")));
                return null;
            default:
                return event;
        }
    }

    private static String about(HttpURLConnection call) {
        long remaining = Long.parseLong(header(call, "Deadline-Ms")) - System.currentTimeMillis();
        String client = header(call, "Client-Context");
        return "{\"request\": " + quoted(header(call, "Aws-Request-Id"))
                + ", \"arn\": " + quoted(header(call, "Invoked-Function-Arn"))
                + ", \"trace\": " + quoted(header(call, "Trace-Id"))
                + ", \"name\": " + variable("AWS_LAMBDA_FUNCTION_NAME")
                + ", \"version\": " + variable("AWS_LAMBDA_FUNCTION_VERSION")
                + ", \"memory\": " + variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
                + ", \"log_group\": " + variable("AWS_LAMBDA_LOG_GROUP_NAME")
                + ", \"log_stream\": " + variable("AWS_LAMBDA_LOG_STREAM_NAME")
                + ", \"remaining_ms\": " + remaining
                + ", \"custom\": " + (client == null ? "null" : raw(client, "custom")) + "}";
    }

    private static String header(HttpURLConnection call, String name) {
        String value = call.getHeaderField("Lambda-Runtime-" + name);
        // Java takes headers for Latin-1.
        return value == null
                ? null
                : new String(value.getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8);
    }

    private static String variable(String name) {
        return quoted(System.getenv(name));
    }

    private static String quoted(String text) {
        return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
    }

    /** The value of a member, as JSON: what stands between its name and the end of the object. */
    private static String raw(String object, String name) {
        int start = object.indexOf(':', object.indexOf("\"" + name + "\"")) + 1;
        return object.substring(start, object.lastIndexOf('}')).trim();
    }

    /** The value of a member that is a string without escapes, else nothing. */
    private static String text(String object, String name) {
        Matcher found = Pattern.compile("\"" + name + "\": *" + STRING.pattern()).matcher(object);
        return found.find() ? found.group(1) : "";
    }

    private static void post(String path, String body, String errorType) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) new URL(API + path).openConnection();
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        connection.setDoOutput(true);
        connection.setFixedLengthStreamingMode(bytes.length);
        if (errorType != null) {
            connection.setRequestProperty("Lambda-Runtime-Function-Error-Type", errorType);
        }
        connection.getOutputStream().write(bytes);
        if (connection.getResponseCode() < 400) {
            body(connection);
        }
    }

    private static String body(HttpURLConnection connection) throws IOException {
        try (InputStream stream = connection.getInputStream()) {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
