import java.time.Duration;
import java.util.List;
import java.util.stream.Collectors;
import org.cloudfoundry.client.CloudFoundryClient;
import org.cloudfoundry.client.v2.events.EventResource;
import org.cloudfoundry.client.v2.events.ListEventsRequest;
import org.cloudfoundry.client.v2.info.GetInfoRequest;
import org.cloudfoundry.client.v2.spaces.ListSpaceApplicationsRequest;
import org.cloudfoundry.client.v3.applications.ApplicationResource;
import org.cloudfoundry.client.v3.applications.ListApplicationsRequest;
import org.cloudfoundry.client.v3.auditevents.AuditEventResource;
import org.cloudfoundry.client.v3.auditevents.ListAuditEventsRequest;
import org.cloudfoundry.client.v3.domains.ListDomainsRequest;
import org.cloudfoundry.client.v3.organizations.ListOrganizationsRequest;
import org.cloudfoundry.client.v3.processes.ListProcessesRequest;
import org.cloudfoundry.client.v3.routes.ListRoutesRequest;
import org.cloudfoundry.client.v3.spaces.ListSpacesRequest;
import org.cloudfoundry.reactor.ConnectionContext;
import org.cloudfoundry.reactor.DefaultConnectionContext;
import org.cloudfoundry.reactor.TokenProvider;
import org.cloudfoundry.reactor.client.ReactorCloudFoundryClient;
import org.cloudfoundry.reactor.tokenprovider.PasswordGrantTokenProvider;
import reactor.core.publisher.Mono;

/** Lets the Cloud Foundry Java client ask; prints a line for each thing it understood. */
public class Driver {
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    public static void main(String[] arguments) {
        ConnectionContext context = DefaultConnectionContext.builder()
                .apiHost(arguments[0]).port(Integer.parseInt(arguments[1])).secure(false).build();
        CloudFoundryClient client = open(context, arguments[2], arguments[3]);
        try {
            ask(open(context, arguments[2], "wrong").info().get(GetInfoRequest.builder().build()));
            ask(open(context, arguments[2], "wrong").auditEventsV3().list(ListAuditEventsRequest.builder().build()));
            tell("stranger", "let in");
        } catch (RuntimeException refused) {
            tell("stranger", "refused");
        }
        version2(client);
        version3(client);
        System.exit(0);
    }

    private static CloudFoundryClient open(ConnectionContext context, String login, String password) {
        TokenProvider provider = PasswordGrantTokenProvider.builder().username(login).password(password).build();
        return ReactorCloudFoundryClient.builder().connectionContext(context).tokenProvider(provider).build();
    }

    private static void version2(CloudFoundryClient client) {
        tell("v2 name", ask(client.info().get(GetInfoRequest.builder().build())).getName());
        tell("v2 all", guids(ask(client.events().list(ListEventsRequest.builder().build())).getResources()));
        tell("v2 filtered", guids(ask(client.events().list(ListEventsRequest.builder()
                .types("app.crash", "audit.app.stop").actees("app-1").build())).getResources()));
        tell("v2 since", guids(ask(client.events().list(ListEventsRequest.builder()
                .timestamps("2014-06-23T00:00:00Z").build())).getResources()));
        tell("v2 apps", ask(client.spaces().listApplications(ListSpaceApplicationsRequest.builder()
                .spaceId("space-1").name("shop").build())).getResources().stream()
                .map(one -> one.getMetadata().getId()).collect(Collectors.toList()));
    }

    private static void version3(CloudFoundryClient client) {
        tell("v3 all", ask(client.auditEventsV3().list(ListAuditEventsRequest.builder().perPage(100).build()))
                .getResources().stream().map(AuditEventResource::getId).collect(Collectors.toList()));
        tell("v3 filtered", ask(client.auditEventsV3().list(ListAuditEventsRequest.builder()
                .types("app.crash", "audit.app.stop").build()))
                .getResources().stream().map(AuditEventResource::getId).collect(Collectors.toList()));
        tell("v3 organizations", ask(client.organizationsV3().list(ListOrganizationsRequest.builder().build()))
                .getResources().stream().map(one -> one.getName()).collect(Collectors.toList()));
        tell("v3 spaces", ask(client.spacesV3().list(ListSpacesRequest.builder().name("prod").build()))
                .getResources().stream().map(one -> one.getName()).collect(Collectors.toList()));
        for (ApplicationResource app : ask(client.applicationsV3().list(ListApplicationsRequest.builder()
                .name("shop").spaceId("space-1").build())).getResources()) {
            tell("v3 app", app.getId() + " " + app.getState() + " " + app.getLifecycle().getType()
                    + " " + app.getCreatedAt().substring(0, 4));
        }
        int empty = ask(client.processes().list(ListProcessesRequest.builder().build())).getResources().size()
                + ask(client.domainsV3().list(ListDomainsRequest.builder().build())).getResources().size()
                + ask(client.routesV3().list(ListRoutesRequest.builder().build())).getResources().size();
        tell("v3 empty", empty);
    }

    private static List<String> guids(List<EventResource> events) {
        return events.stream().map(one -> one.getMetadata().getId()).collect(Collectors.toList());
    }

    private static <T> T ask(Mono<T> answer) {
        return answer.block(PATIENCE);
    }

    private static void tell(String what, Object found) {
        System.out.println(what + "\t" + found);
    }
}
