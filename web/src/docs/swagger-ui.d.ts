declare module "swagger-ui-dist/swagger-ui-es-bundle.js" {
  export interface SwaggerUIRequest {
    url: string;
    headers: Record<string, string>;
  }

  export interface Ui {
    preauthorizeApiKey(scheme: string, token: string): void;
    authActions: { logout(schemes: string[]): void };
  }

  export interface SwaggerUIOptions {
    domNode: HTMLElement;
    url: string;
    deepLinking?: boolean;
    displayRequestDuration?: boolean;
    requestInterceptor?(request: SwaggerUIRequest): SwaggerUIRequest | Promise<SwaggerUIRequest>;
    onComplete?(): void;
  }

  export default function SwaggerUI(options: SwaggerUIOptions): Ui;
}
