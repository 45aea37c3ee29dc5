// A certified OpenID Connect provider (oidc-provider) that signs in whoever login_hint names, or its usual guest,
// without asking.
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

const { port, redirectUri, secret, accounts, guest } = JSON.parse(process.env.WETREAD_TEST_PROVIDER);
const issuer = `http://127.0.0.1:${port}`;
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "test" };

const provider = new Provider(issuer, {
  clients: [{
    client_id: "wetread", client_secret: secret, redirect_uris: [redirectUri],
    response_types: ["code"], grant_types: ["authorization_code"],
  }],
  jwks: { keys: [key] },
  cookies: { keys: ["of a test only"] },
  claims: { openid: ["sub"], profile: ["name", "preferred_username", "groups"], email: ["email"] },
  conformIdTokenClaims: false, // claims stand in the ID token too
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...accounts[sub] }) }),
});

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith("/interaction/")) return next();
  const { prompt, params, session, grantId } = await provider.interactionDetails(ctx.req, ctx.res);
  if (params.login_hint === "refuse") {
    return provider.interactionFinished(ctx.req, ctx.res, { error: "access_denied" });
  }
  if (prompt.name === "login") {
    return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: params.login_hint ?? guest } });
  }
  const grant = grantId ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope("openid profile email");
  return provider.interactionFinished(ctx.req, ctx.res, { consent: { grantId: await grant.save() } });
});

provider.listen(port, "127.0.0.1", () => console.log("ready"));
