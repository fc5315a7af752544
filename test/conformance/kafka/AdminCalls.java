/*
 * One call of the Java Admin client about groups; writes one line of JSON with what came of it, errors by the names of their classes.
 *
 *   AdminCalls BOOTSTRAP CALL ARGUMENTS, where the arguments are a JSON object: see the methods.
 */
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.DeleteConsumerGroupOffsetsResult;
import org.apache.kafka.clients.admin.AlterConsumerGroupOffsetsResult;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsResult;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupResult;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;

public final class AdminCalls {
    private static final ObjectMapper json = new ObjectMapper();

    private final Admin admin;
    private final JsonNode arguments;

    private AdminCalls(Admin admin, JsonNode arguments) {
        this.admin = admin;
        this.arguments = arguments;
    }

    public static void main(String[] args) throws Exception {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", args[0]);
        config.put("request.timeout.ms", 10_000);
        config.put("default.api.timeout.ms", 10_000);
        try (Admin admin = Admin.create(config)) {
            System.out.println(json.writeValueAsString(new AdminCalls(admin, json.readTree(args[2])).call(args[1])));
        }
    }

    private Object call(String name) throws Exception {
        switch (name) {
            case "describe": return describe();
            case "list": return list();
            case "offsets": return offsets();
            case "alterOffsets": return alterOffsets();
            case "deleteOffsets": return deleteOffsets();
            case "deleteGroups": return ofEach(admin.deleteConsumerGroups(texts("groups")).deletedGroups());
            case "removeMembers": return removeMembers();
            default: throw new IllegalArgumentException(name);
        }
    }

    /** groups: their ids. */
    private Object describe() throws InterruptedException {
        Map<String, Object> described = new TreeMap<>();
        for (Map.Entry<String, KafkaFuture<ConsumerGroupDescription>> group :
                admin.describeConsumerGroups(texts("groups")).describedGroups().entrySet()) {
            described.put(group.getKey(), orError(group.getValue(), AdminCalls::ofGroup));
        }
        return described;
    }

    private static Object ofGroup(ConsumerGroupDescription group) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("type", group.type().toString());
        fields.put("state", group.groupState().toString());
        fields.put("isSimple", group.isSimpleConsumerGroup());
        fields.put("assignor", group.partitionAssignor());
        fields.put("groupEpoch", group.groupEpoch().orElse(null));
        fields.put("targetEpoch", group.targetAssignmentEpoch().orElse(null));
        fields.put("coordinator", group.coordinator().id());
        Map<String, Object> members = new TreeMap<>();
        for (MemberDescription member : group.members()) members.put(member.clientId(), ofMember(member));
        fields.put("members", members);
        return fields;
    }

    private static Object ofMember(MemberDescription member) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("memberId", member.consumerId());
        fields.put("instanceId", member.groupInstanceId().orElse(null));
        fields.put("host", member.host());
        fields.put("epoch", member.memberEpoch().orElse(null));
        fields.put("isUpgraded", member.upgraded().orElse(null));
        fields.put("assigned", names(member.assignment().topicPartitions()));
        fields.put("target", member.targetAssignment().map(target -> names(target.topicPartitions())).orElse(null));
        return fields;
    }

    /** states, types, protocols: empty lists stand for all. */
    private Object list() throws Exception {
        Set<GroupState> states = new HashSet<>();
        for (String state : texts("states")) states.add(GroupState.parse(state));
        Set<GroupType> types = new HashSet<>();
        for (String type : texts("types")) types.add(GroupType.parse(type));
        ListGroupsOptions options = new ListGroupsOptions()
            .inGroupStates(states).withTypes(types).withProtocolTypes(new HashSet<>(texts("protocols")));
        Map<String, Object> listed = new TreeMap<>();
        for (GroupListing group : admin.listGroups(options).all().get()) {
            listed.put(group.groupId(), List.of(
                group.type().map(GroupType::toString).orElse(""),
                group.groupState().map(GroupState::toString).orElse(""),
                group.protocol(),
                group.isSimpleConsumerGroup()));
        }
        return listed;
    }

    /** groups: by id the partitions, or null for all; requireStable. */
    private Object offsets() throws Exception {
        Map<String, ListConsumerGroupOffsetsSpec> specs = new HashMap<>();
        for (Map.Entry<String, JsonNode> group : arguments.get("groups").properties()) {
            ListConsumerGroupOffsetsSpec spec = new ListConsumerGroupOffsetsSpec();
            specs.put(group.getKey(), group.getValue().isNull() ? spec : spec.topicPartitions(partitions(group.getValue())));
        }
        ListConsumerGroupOffsetsOptions options =
            new ListConsumerGroupOffsetsOptions().requireStable(arguments.get("requireStable").asBoolean());
        ListConsumerGroupOffsetsResult result = admin.listConsumerGroupOffsets(specs, options);
        Map<String, Object> found = new TreeMap<>();
        for (String group : specs.keySet()) found.put(group, orError(result.partitionsToOffsetAndMetadata(group), AdminCalls::ofOffsets));
        return found;
    }

    private static Object ofOffsets(Map<TopicPartition, OffsetAndMetadata> offsets) {
        Map<String, Object> found = new TreeMap<>();
        offsets.forEach((partition, offset) ->
            found.put(partition.toString(), offset == null ? null : List.of(offset.offset(), offset.metadata())));
        return found;
    }

    /** group; offsets: by partition the offset and the metadata. */
    private Object alterOffsets() throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (Map.Entry<String, JsonNode> place : arguments.get("offsets").properties()) {
            JsonNode value = place.getValue();
            offsets.put(partition(place.getKey()), new OffsetAndMetadata(value.get(0).asLong(), value.get(1).asText()));
        }
        AlterConsumerGroupOffsetsResult result = admin.alterConsumerGroupOffsets(arguments.get("group").asText(), offsets);
        Map<TopicPartition, KafkaFuture<Void>> altered = new HashMap<>();
        for (TopicPartition partition : offsets.keySet()) altered.put(partition, result.partitionResult(partition));
        return ofEach(altered);
    }

    /** group, partitions. */
    private Object deleteOffsets() throws Exception {
        Set<TopicPartition> partitions = new HashSet<>(partitions(arguments.get("partitions")));
        DeleteConsumerGroupOffsetsResult result = admin.deleteConsumerGroupOffsets(arguments.get("group").asText(), partitions);
        Map<TopicPartition, KafkaFuture<Void>> deleted = new HashMap<>();
        for (TopicPartition partition : partitions) deleted.put(partition, result.partitionResult(partition));
        return ofEach(deleted);
    }

    /** group; instances: ids of static members, none for all members of the group. */
    private Object removeMembers() throws Exception {
        List<MemberToRemove> members = new ArrayList<>();
        for (String instance : texts("instances")) members.add(new MemberToRemove(instance));
        RemoveMembersFromConsumerGroupOptions options = members.isEmpty()
            ? new RemoveMembersFromConsumerGroupOptions()
            : new RemoveMembersFromConsumerGroupOptions(members);
        RemoveMembersFromConsumerGroupResult result =
            admin.removeMembersFromConsumerGroup(arguments.get("group").asText(), options);
        if (members.isEmpty()) return orError(result.all(), done -> "done");
        Map<String, Object> removed = new TreeMap<>();
        for (MemberToRemove member : members) removed.put(member.groupInstanceId(), orError(result.memberResult(member), done -> "done"));
        return removed;
    }

    private static Map<String, Object> ofEach(Map<?, KafkaFuture<Void>> results) throws InterruptedException {
        Map<String, Object> done = new TreeMap<>();
        for (Map.Entry<?, KafkaFuture<Void>> one : results.entrySet()) {
            done.put(one.getKey().toString(), orError(one.getValue(), nothing -> "done"));
        }
        return done;
    }

    private static <T> Object orError(KafkaFuture<T> future, java.util.function.Function<T, Object> show) throws InterruptedException {
        try {
            return show.apply(future.get());
        } catch (ExecutionException error) {
            return error.getCause().getClass().getSimpleName();
        }
    }

    private List<String> texts(String name) {
        List<String> texts = new ArrayList<>();
        arguments.get(name).forEach(text -> texts.add(text.asText()));
        return texts;
    }

    private static List<TopicPartition> partitions(JsonNode names) {
        List<TopicPartition> partitions = new ArrayList<>();
        names.forEach(name -> partitions.add(partition(name.asText())));
        return partitions;
    }

    /** Of what TopicPartition.toString gives. */
    private static TopicPartition partition(String name) {
        int dash = name.lastIndexOf('-');
        return new TopicPartition(name.substring(0, dash), Integer.parseInt(name.substring(dash + 1)));
    }

    private static Set<String> names(Collection<TopicPartition> partitions) {
        Set<String> names = new TreeSet<>();
        for (TopicPartition partition : partitions) names.add(partition.toString());
        return names;
    }
}
