import io.orchestrate.client.Aggregate;
import io.orchestrate.client.BulkResponse;
import io.orchestrate.client.Event;
import io.orchestrate.client.EventMetadata;
import io.orchestrate.client.InvalidApiKeyException;
import io.orchestrate.client.ItemVersionMismatchException;
import io.orchestrate.client.KvMetadata;
import io.orchestrate.client.KvObject;
import io.orchestrate.client.OrchestrateClient;
import io.orchestrate.client.Result;
import io.orchestrate.client.SearchResults;
import io.orchestrate.client.jsonpatch.JsonPatch;

/** Lets Orchestrate's Java client do what it can; prints a line for each thing it understood. */
public class Driver {
    private static final String USERS = "users";

    public static void main(String[] arguments) throws Exception {
        OrchestrateClient client = open(arguments[0], arguments[1], arguments[2]);
        client.ping();
        OrchestrateClient stranger = open(arguments[0], arguments[1], "unknown");
        try {
            stranger.ping();
            tell("stranger", "let in");
        } catch (InvalidApiKeyException refused) {
            tell("stranger", "refused");
        }
        stranger.close();
        items(client);
        events(client);
        relations(client);
        bulk(client);
        search(client);
        tell("collection deleted", client.deleteCollection(USERS).get());
        client.close();
        // The client's own threads outlive it.
        System.exit(0);
    }

    private static OrchestrateClient open(String host, String port, String key) {
        return OrchestrateClient.builder(key)
                .host("http://" + host).port(Integer.parseInt(port)).useSSL(false).build();
    }

    private static void items(OrchestrateClient client) throws Exception {
        KvMetadata put = client.kv(USERS, "kate").put("{\"n\":1}").get();
        tell("item", put.getCollection() + "/" + put.getKey());
        try {
            client.kv(USERS, "kate").ifAbsent().put("{\"n\":2}").get();
            tell("if absent", "stored");
        } catch (Exception refused) {
            tell("if absent", refused.getClass().getSimpleName());
        }
        JsonPatch patch = JsonPatch.builder().inc("n").inc("m").add("name", "Kate").build();
        client.kv(USERS, "kate").patch(patch).get();
        client.kv(USERS, "kate").merge("{\"name\":null}").get();
        KvObject<String> got = client.kv(USERS, "kate").get(String.class).get();
        tell("patched", got.getValue());
        tell("first version", client.kv(USERS, "kate").get(String.class, put.getRef()).get().getValue());
        try {
            client.kv(USERS, "kate").ifMatch(put.getRef()).put("{}").get();
            tell("if match", "stored");
        } catch (ItemVersionMismatchException refused) {
            tell("if match", refused.getClass().getSimpleName());
        }
        tell("none", client.kv(USERS, "nobody").get(String.class).get());
        KvMetadata posted = client.postValue(USERS, "{\"posted\":true}").get();
        tell("posted deleted", client.kv(USERS, posted.getKey()).delete(true).get());
    }

    private static void events(OrchestrateClient client) throws Exception {
        EventMetadata made = client.event(USERS, "kate").type("log").timestamp(5L).create("{\"n\":1}").get();
        tell("event", made.getType() + " at " + made.getTimestamp());
        client.event(USERS, "kate").type("log").put("{\"n\":9}", 6L).get();
        JsonPatch patch = JsonPatch.builder().inc("n").inc("new").build();
        EventMetadata patched = one(client, made).patch(patch).get();
        Event<String> got = one(client, made).get(String.class).get();
        tell("event patched", got.getValue());
        tell("same ordinal", got.getOrdinal().equals(made.getOrdinal()));
        StringBuilder listed = new StringBuilder();
        for (Event<String> event : client.event(USERS, "kate").type("log").start(0L).end(10L).get(String.class).get()) {
            listed.append(event.getTimestamp()).append(event.getValue());
        }
        tell("events", listed);
        tell("event purged", one(client, made).ifMatch(patched.getRef()).purge().get());
        tell("event gone", one(client, made).get(String.class).get());
    }

    private static io.orchestrate.client.SingleEventResource one(OrchestrateClient client, EventMetadata made) {
        return client.event(USERS, "kate").type("log").timestamp(made.getTimestamp()).ordinal(made.getOrdinal());
    }

    private static void relations(OrchestrateClient client) throws Exception {
        client.kv(USERS, "kim").put("{\"n\":7}").get();
        tell("relation", client.relationship(USERS, "kate").to(USERS, "kim").put("likes").get());
        for (KvObject<String> friend : client.relationship(USERS, "kate").get(String.class, "likes").get()) {
            tell("related", friend.getKey() + friend.getValue());
        }
        tell("relation purged", client.relationship(USERS, "kate").to(USERS, "kim").purge("likes").get());
    }

    private static void bulk(OrchestrateClient client) throws Exception {
        BulkResponse answer = client.bulk()
                .add(client.kv(USERS, "bulk").bulkPut("{\"word\":\"trip\"}"))
                .add(client.event(USERS, "bulk").type("log").timestamp(7L).bulkCreate("{\"word\":\"trip\"}"))
                .add(client.relationship(USERS, "bulk").to(USERS, "kim").bulkPut("likes"))
                .done().get();
        tell("bulk", answer.getStatus() + " " + answer.getSuccessCount());
    }

    private static void search(OrchestrateClient client) throws Exception {
        SearchResults<String> found = client.searchCollection(USERS)
                .aggregate(Aggregate.builder().stats("value.n").build()).limit(1)
                .get(String.class, "value.n:*").get();
        tell("search", found.getCount() + " of " + found.getTotalCount() + ", more: " + found.hasNext());
        for (Result<String> result : client.searchCollection(USERS).kinds(io.orchestrate.client.ItemKind.EVENT).get(String.class, "trip").get()) {
            tell("event found", result.getKvObject().getValue());
        }
    }

    private static void tell(String what, Object found) {
        System.out.println(what + "\t" + found);
    }
}
