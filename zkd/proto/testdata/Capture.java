// Prints the bytes that Apache's own classes write, one record per line: name, hex. Run from the top:
//   java -cp "$(.ci/peers/peer cp zookeeper-3.9.4)" zkd/proto/testdata/Capture.java |
//     grep -v INFO > zkd/proto/testdata/records.txt

import java.io.ByteArrayOutputStream;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.apache.jute.BinaryOutputArchive;
import org.apache.jute.Record;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.MultiOperationRecord;
import org.apache.zookeeper.MultiResponse;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.data.*;
import org.apache.zookeeper.proto.*;
import org.apache.zookeeper.server.TxnLogEntry;
import org.apache.zookeeper.server.util.SerializeUtils;
import org.apache.zookeeper.txn.*;

class Capture {
    static byte[] bytes(Record... records) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        BinaryOutputArchive a = BinaryOutputArchive.getArchive(out);
        for (Record r : records) {
            r.serialize(a, "");
        }
        return out.toByteArray();
    }

    static void show(String name, Record... records) throws Exception {
        StringBuilder hex = new StringBuilder();
        for (byte b : bytes(records)) {
            hex.append(String.format("%02x", b));
        }
        System.out.println(name + " " + hex);
    }

    static final List<ACL> OPEN = Arrays.asList(new ACL(31, new Id("world", "anyone")));
    static final List<ACL> TWO = Arrays.asList(
        new ACL(31, new Id("digest", "u:hash")), new ACL(1, new Id("ip", "10.0.0.0/8")));
    static final byte[] DATA = {1, 2, (byte) 0xff};
    static final Stat STAT = new Stat(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
    static final byte[] PW = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

    public static void main(String[] args) throws Exception {
        session();
        nodes();
        watches();
        multi();
        txns();
    }

    static void session() throws Exception {
        show("connectRequest", new ConnectRequest(0, 0x1234567890L, 30000, 0x100abcdef0001L, PW, true));
        show("connectResponse", new ConnectResponse(0, 20000, 0x100abcdef0001L, PW, false));
        show("requestHeader", new RequestHeader(7, 14));
        show("replyHeader", new ReplyHeader(-1, 0x1_0000_0002L, -101));
        show("watcherEvent", new WatcherEvent(4, 3, "/a/b"));
        show("authPacket", new AuthPacket(0, "digest", "u:p".getBytes()));
        show("getSASLRequest", new GetSASLRequest(DATA));
        show("setSASLResponse", new SetSASLResponse(null));
        show("whoAmIResponse", new WhoAmIResponse(Arrays.asList(
            new ClientInfo("ip", "127.0.0.1"), new ClientInfo("digest", "u"))));
        show("reconfigRequest", new ReconfigRequest("server.1=h:1:2;3", "2", "", -1));
        show("getEphemeralsRequest", new GetEphemeralsRequest("/x"));
        show("getEphemeralsResponse", new GetEphemeralsResponse(Arrays.asList("/x/1", "/x/2")));
        show("getAllChildrenNumberRequest", new GetAllChildrenNumberRequest("/"));
        show("getAllChildrenNumberResponse", new GetAllChildrenNumberResponse(77));
    }

    static void nodes() throws Exception {
        show("stat", STAT);
        show("createRequest", new CreateRequest("/a", DATA, OPEN, 3));
        show("createRequestNulls", new CreateRequest("/a", null, null, 0));
        show("createRequestEmpty", new CreateRequest("/\u00e9", new byte[0], Collections.emptyList(), 0));
        show("createTTLRequest", new CreateTTLRequest("/t", DATA, TWO, 5, 60000));
        show("createResponse", new CreateResponse("/a0000000001"));
        show("create2Response", new Create2Response("/a", STAT));
        show("deleteRequest", new DeleteRequest("/a", -1));
        show("existsRequest", new ExistsRequest("/a", true));
        show("existsResponse", new ExistsResponse(STAT));
        show("getDataRequest", new GetDataRequest("/a", false));
        show("getDataResponse", new GetDataResponse(DATA, STAT));
        show("setDataRequest", new SetDataRequest("/a", DATA, 4));
        show("setDataResponse", new SetDataResponse(STAT));
        show("getACLRequest", new GetACLRequest("/a"));
        show("getACLResponse", new GetACLResponse(TWO, STAT));
        show("setACLRequest", new SetACLRequest("/a", TWO, 2));
        show("setACLResponse", new SetACLResponse(STAT));
        show("getChildrenRequest", new GetChildrenRequest("/a", true));
        show("getChildrenResponse", new GetChildrenResponse(Arrays.asList("x", "y")));
        show("getChildren2Response", new GetChildren2Response(Collections.emptyList(), STAT));
        show("syncRequest", new SyncRequest("/a"));
        show("syncResponse", new SyncResponse("/a"));
    }

    static void watches() throws Exception {
        List<String> a = Arrays.asList("/a"), b = Arrays.asList("/b", "/c"), none = Collections.emptyList();
        show("setWatches", new SetWatches(99, a, b, none));
        show("setWatches2", new SetWatches2(99, a, b, none, a, b));
        show("checkWatchesRequest", new CheckWatchesRequest("/a", 3));
        show("removeWatchesRequest", new RemoveWatchesRequest("/a", 1));
        show("addWatchRequest", new AddWatchRequest("/a", 1));
        show("errorResponse", new ErrorResponse(-121));
    }

    static void multi() throws Exception {
        show("multiRequest", new MultiOperationRecord(Arrays.asList(
            Op.create("/m", DATA, OPEN, CreateMode.PERSISTENT),
            Op.create("/c", DATA, OPEN, CreateMode.CONTAINER),
            Op.create("/t", DATA, OPEN, CreateMode.PERSISTENT_WITH_TTL, 5000),
            Op.setData("/m", DATA, 0), Op.check("/m", 1), Op.delete("/m", -1))));
        show("multiReadRequest", new MultiOperationRecord(Arrays.asList(
            Op.getChildren("/m"), Op.getData("/m"))));
        show("multiResponse", response(
            new OpResult.CreateResult("/m"), new OpResult.CreateResult("/c", STAT),
            new OpResult.SetDataResult(STAT), new OpResult.CheckResult(), new OpResult.DeleteResult()));
        show("multiResponseFailed", response(
            new OpResult.ErrorResult(0), new OpResult.ErrorResult(-103), new OpResult.ErrorResult(-2)));
        show("multiReadResponse", response(
            new OpResult.GetChildrenResult(Arrays.asList("x")), new OpResult.GetDataResult(DATA, STAT),
            new OpResult.ErrorResult(-101)));
        show("multiRequestEmpty", new MultiOperationRecord(Collections.emptyList()));
    }

    static MultiResponse response(OpResult... results) {
        MultiResponse m = new MultiResponse();
        for (OpResult r : results) {
            m.add(r);
        }
        return m;
    }

    static TxnHeader header(int type) {
        return new TxnHeader(0x100abcdef0001L, 5, 0x1_0000_0007L, 1700000000000L, type);
    }

    // sealed is what stands in the log and in proposals: header, body and, if asked, the digest.
    static void sealed(String name, int type, Record body, boolean digest) throws Exception {
        byte[] b = digest
            ? bytes(header(type), body, new TxnDigest(2, 1371985504L))
            : bytes(header(type), body);
        TxnLogEntry read = SerializeUtils.deserializeTxn(b); // upstream reads it back
        if (digest != (read.getDigest() != null)) {
            throw new IllegalStateException(name + ": digest lost");
        }
        StringBuilder hex = new StringBuilder();
        for (byte x : b) {
            hex.append(String.format("%02x", x));
        }
        System.out.println("txn." + name + " " + hex);
    }

    static void txns() throws Exception {
        sealed("createSession", -10, new CreateSessionTxn(30000), true);
        sealed("closeSession", -11, new CloseSessionTxn(Arrays.asList("/e1", "/e2")), true);
        sealed("closeSessionNone", -11, new CloseSessionTxn(Collections.emptyList()), true);
        sealed("create", 1, new CreateTxn("/a", DATA, OPEN, true, 3), true);
        sealed("createV0", 1, new CreateTxnV0("/a", DATA, OPEN, true), false);
        sealed("create2", 15, new CreateTxn("/a", null, TWO, false, -1), true);
        sealed("createContainer", 19, new CreateContainerTxn("/c", DATA, OPEN, 1), true);
        sealed("createTTL", 21, new CreateTTLTxn("/t", DATA, OPEN, 1, 60000), true);
        sealed("delete", 2, new DeleteTxn("/a"), true);
        sealed("deleteContainer", 20, new DeleteTxn("/c"), false);
        sealed("setData", 5, new SetDataTxn("/a", DATA, 8), true);
        sealed("reconfig", 16, new SetDataTxn("/zookeeper/config", DATA, -1), true);
        sealed("setACL", 7, new SetACLTxn("/a", TWO, 3), true);
        sealed("error", -1, new ErrorTxn(-101), false);
        sealed("multi", 14, new MultiTxn(Arrays.asList(
            new Txn(1, bytes(new CreateTxn("/a", DATA, OPEN, false, 1))),
            new Txn(13, bytes(new CheckVersionTxn("/a", 1))),
            new Txn(5, bytes(new SetDataTxn("/a", DATA, 2))),
            new Txn(7, bytes(new SetACLTxn("/a", OPEN, 1))),
            new Txn(2, bytes(new DeleteTxn("/a"))))), true);
        sealed("multiFailed", 14, new MultiTxn(Arrays.asList(
            new Txn(2, bytes(new DeleteTxn("/a"))),
            new Txn(-1, bytes(new ErrorTxn(-103))),
            new Txn(-1, bytes(new ErrorTxn(-2))))), true);
    }
}
